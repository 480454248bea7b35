//! Traits of real servers, each with its variants: text and calls that come twice or only at
//! the end, ends that are none, forms that differ. And beside each rule a healthy answer that
//! looks similar.

use serde_json::{Value, json};
use unspool::ask::{Event, Request, Stop};

use super::dialect::Protocol;
use super::{drain, question};
use crate::server::{Reply, Server};

use Protocol::{Anthropic, Chat, Gemini, Ollama, Responses};

/// What comes of an answer: its text, and how it ended.
type Found = (String, Result<Stop, String>);

fn reply(protocol: Protocol, frames: &[Value]) -> Reply {
    let body: String = frames
        .iter()
        .map(|frame| match (protocol, frame) {
            (Ollama, frame) => format!("{frame}\n"),
            (_, Value::String(text)) => format!("data: {text}\n\n"),
            (_, frame) => format!("data: {frame}\n\n"),
        })
        .collect();
    let kind = match protocol {
        Ollama => "application/x-ndjson",
        _ => "text/event-stream",
    };
    Reply::status(200).header("content-type", kind).body(body)
}

async fn events(protocol: Protocol, frames: &[Value]) -> (Vec<Event>, Result<Stop, String>) {
    let frames = frames.to_vec();
    let server = Server::start(move |_| reply(protocol, &frames));
    let request = question(protocol, &server).retries(0);
    let (events, end) = drain(request.events()).await;
    let end = end.map(|outcome| outcome.stop);
    (events, end.map_err(|error| error.to_string()))
}

fn text_of(events: &[Event]) -> String {
    let text = events.iter().filter_map(|event| match event {
        Event::Text { text } => Some(text.as_str()),
        _ => None,
    });
    text.collect()
}

async fn read(protocol: Protocol, frames: &[Value]) -> Found {
    let (events, end) = events(protocol, frames).await;
    (text_of(&events), end)
}

/// The whole text, and a natural end.
#[track_caller]
fn whole(found: Found) {
    assert_eq!(found, (TEXT.to_owned(), Ok(Stop::End)));
}

#[track_caller]
fn fails(found: Found, words: &str) {
    let error = found.1.unwrap_err();
    assert!(error.contains(words), "{error}");
}

const TEXT: &str = "The river is wide.";
const WORDS: [&str; 4] = ["The ", "river ", "is ", "wide."];

/// A chunk of Chat Completions.
fn chunk(delta: Value, reason: Value) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "model": "m-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

fn with_id(id: &str, mut chunk: Value) -> Value {
    chunk["id"] = json!(id);
    chunk
}

fn words() -> Vec<Value> {
    let words = WORDS.iter();
    words
        .map(|word| chunk(json!({"content": word}), Value::Null))
        .collect()
}

fn role() -> Value {
    chunk(json!({"role": "assistant", "content": ""}), Value::Null)
}

fn stop() -> Value {
    chunk(json!({}), json!("stop"))
}

fn done() -> Value {
    json!("[DONE]")
}

fn all(parts: &[&[Value]]) -> Vec<Value> {
    parts.concat()
}

/// An event of Responses; the fields are added to its type.
fn event(kind: &str, fields: Value) -> Value {
    let mut event = json!({"type": format!("response.{kind}")});
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn created(id: &str) -> Value {
    event(
        "created",
        json!({"response": {"id": id, "model": "m-1", "status": "in_progress"}}),
    )
}

fn delta(text: &str) -> Value {
    event(
        "output_text.delta",
        json!({"output_index": 0, "content_index": 0, "delta": text}),
    )
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "i1", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn item_done(index: u64, item: Value) -> Value {
    event(
        "output_item.done",
        json!({"output_index": index, "item": item}),
    )
}

fn part_done(text: &str) -> Value {
    event(
        "content_part.done",
        json!({"output_index": 0, "content_index": 0,
        "part": {"type": "output_text", "text": text}}),
    )
}

fn completed(output: Value) -> Value {
    event(
        "completed",
        json!({"response": {"id": "r1", "status": "completed", "output": output,
        "usage": {"input_tokens": 7, "output_tokens": 5}}}),
    )
}

fn started(id: &str) -> Value {
    json!({"type": "message_start", "message": {"id": id, "model": "m-1", "content": []}})
}

fn block(text: &str) -> Value {
    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": text}})
}

fn text_delta(text: &str) -> Value {
    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
}

fn ended(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason}}),
        json!({"type": "message_stop"}),
    ]
}

fn generated(text: &str, reason: Value) -> Value {
    json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]},
        "finishReason": reason}], "responseId": "g1"})
}

#[tokio::test]
async fn text_that_comes_only_as_a_whole_is_handed_out() {
    let part = part_done(TEXT);
    let item = item_done(0, message(TEXT));
    let text = event(
        "output_text.done",
        json!({"output_index": 0, "content_index": 0, "text": TEXT}),
    );
    for frames in [
        vec![item.clone(), completed(json!([]))],
        vec![part.clone(), completed(json!([]))],
        vec![
            text.clone(),
            part,
            item.clone(),
            completed(json!([message(TEXT)])),
        ],
        vec![
            item_done(1, message(TEXT)),
            completed(json!([message(TEXT)])),
        ],
        vec![completed(json!([message(TEXT)]))],
        // A second message has no deltas.
        vec![
            delta("The river "),
            item_done(0, message("The river ")),
            item_done(1, message("is wide.")),
            completed(json!([message("The river "), message("is wide.")])),
        ],
        vec![
            delta("The river "),
            completed(json!([message("The river "), message("is wide.")])),
        ],
    ] {
        whole(read(Responses, &all(&[&[created("r1")], &frames])).await);
    }
    let stopped = json!({"type": "content_block_stop", "index": 0,
        "content_block": {"type": "text", "text": TEXT}});
    whole(
        read(
            Anthropic,
            &all(&[&[started("a"), block(""), stopped], &ended("end_turn")]),
        )
        .await,
    );
    let last =
        json!({"type": "message_stop", "message": {"content": [{"type": "text", "text": TEXT}]}});
    let [reason, _] = ended("end_turn");
    whole(read(Anthropic, &[started("a"), block(""), reason, last]).await);
    let last = json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop",
        "message": {"role": "assistant", "content": TEXT}}]});
    whole(read(Chat, &[role(), last, done()]).await);
}

#[tokio::test]
async fn a_delta_that_is_lost_is_not_missed_in_silence() {
    let lost = [delta("The "), delta("is wide.")];
    for sum in [part_done(TEXT), item_done(0, message(TEXT))] {
        let frames = all(&[&[created("r1")], &lost, &[sum, completed(json!([]))]]);
        fails(read(Responses, &frames).await, "did not come");
    }
    let frames = all(&[
        &[created("r1")],
        &lost,
        &[completed(json!([message(TEXT)]))],
    ]);
    fails(read(Responses, &frames).await, "did not come");
    let last =
        json!({"type": "message_stop", "message": {"content": [{"type": "text", "text": TEXT}]}});
    let frames = [
        started("a"),
        block(""),
        text_delta("The "),
        text_delta("is wide."),
        last,
    ];
    fails(read(Anthropic, &frames).await, "did not come");
    let last = json!({"id": "c1", "choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}]});
    let frames = [role(), words()[0].clone(), words()[2].clone(), last];
    fails(read(Chat, &frames).await, "did not come");
}

#[tokio::test]
async fn text_that_is_repeated_as_a_whole_is_handed_out_once() {
    let deltas: Vec<Value> = WORDS.map(delta).to_vec();
    let item = item_done(0, message(TEXT));
    let frames = all(&[
        &[created("r1")],
        &deltas,
        &[part_done(TEXT), item, completed(json!([message(TEXT)]))],
    ]);
    whole(read(Responses, &frames).await);
    // Without numbers, as llama.cpp sends them, and numbered only in the sum.
    let bare = WORDS.map(|word| event("output_text.delta", json!({"delta": word})));
    let frames = all(&[
        &[created("r1")],
        &bare,
        &[
            item_done(1, message(TEXT)),
            completed(json!([message(TEXT)])),
        ],
    ]);
    whole(read(Responses, &frames).await);
    // A sum that is trimmed, or empty, or a gateway's own.
    for sum in [" The river is wide.", "", "The river"] {
        let frames = all(&[
            &[created("r1")],
            &deltas,
            &[part_done(sum), completed(json!([]))],
        ]);
        whole(read(Responses, &frames).await);
    }
    let last = json!({"id": "c1", "choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}]});
    whole(read(Chat, &all(&[&[role()], &words(), &[last]])).await);
    let block_stop = json!({"type": "content_block_stop", "index": 0, "content_block": {"type": "text", "text": TEXT}});
    let frames = all(&[
        &[started("a"), block("")],
        &WORDS.map(text_delta),
        &[block_stop],
        &ended("end_turn"),
    ]);
    whole(read(Anthropic, &frames).await);
}

#[tokio::test]
async fn an_answer_that_begins_a_second_time_is_an_error() {
    let words_of =
        |id: &str| -> Vec<Value> { words().into_iter().map(|word| with_id(id, word)).collect() };
    for again in ["r2", "r1"] {
        let frames = all(&[
            &[
                created("r1"),
                delta("The "),
                delta("river "),
                created(again),
            ],
            &WORDS.map(delta),
            &[completed(json!([]))],
        ]);
        fails(read(Responses, &frames).await, "second time");
    }
    let frames = all(&[
        &[
            started("a"),
            block(""),
            text_delta("The "),
            started("b"),
            block(""),
        ],
        &WORDS.map(text_delta),
        &ended("end_turn"),
    ]);
    fails(read(Anthropic, &frames).await, "second time");
    let frames = all(&[
        &[role()],
        &words()[..2],
        &[with_id("c2", role())],
        &words_of("c2"),
        &[stop(), done()],
    ]);
    fails(read(Chat, &frames).await, "second time");
    let with = |id: &str, mut frame: Value| {
        frame["responseId"] = json!(id);
        frame
    };
    let g = |text: &str| generated(text, Value::Null);
    let frames = [
        g("The "),
        g("river "),
        with("g2", g("The ")),
        with("g2", generated("river.", json!("STOP"))),
    ];
    fails(read(Gemini, &frames).await, "second time");
}

#[tokio::test]
async fn a_begin_that_comes_twice_before_content_is_one() {
    let words_of = |ids: [&str; 4]| -> Vec<Value> {
        let words = words().into_iter().zip(ids);
        words.map(|(word, id)| with_id(id, word)).collect()
    };
    let frames = all(&[
        &[started("a"), started("a"), block("")],
        &WORDS.map(text_delta),
        &ended("end_turn"),
    ]);
    whole(read(Anthropic, &frames).await);
    let frames = all(&[
        &[created("r1"), created("r1")],
        &WORDS.map(delta),
        &[completed(json!([]))],
    ]);
    whole(read(Responses, &frames).await);
    whole(
        read(
            Chat,
            &all(&[&[role(), role()], &words(), &[stop(), done()]]),
        )
        .await,
    );
    // Ids of each chunk, and roles in each chunk.
    whole(
        read(
            Chat,
            &all(&[
                &[role()],
                &words_of(["a", "b", "c", "d"]),
                &[stop(), done()],
            ]),
        )
        .await,
    );
    let mut roles = words_of(["a", "b", "c", "d"]);
    for word in &mut roles {
        word["choices"][0]["delta"]["role"] = json!("assistant");
    }
    whole(read(Chat, &all(&[&[role()], &roles, &[stop(), done()]])).await);
    let mut each = WORDS.map(|word| generated(word, Value::Null));
    for (at, frame) in each.iter_mut().enumerate() {
        frame["responseId"] = json!(at.to_string());
    }
    whole(read(Gemini, &all(&[&each, &[generated("", json!("STOP"))]])).await);
}

#[tokio::test]
async fn what_the_upstream_says_about_its_end_counts() {
    let native = |word: &str| {
        let mut last = chunk(json!({}), json!("stop"));
        last["choices"][0]["native_finish_reason"] = json!(word);
        all(&[&[role()], &words(), &[last, done()]])
    };
    for word in ["network_error", "ERROR", "provider_failed"] {
        fails(read(Chat, &native(word)).await, word);
    }
    for (word, expected) in [
        ("SAFETY", Stop::ContentFilter),
        ("MAX_TOKENS", Stop::MaxTokens),
        ("abort", Stop::Other),
    ] {
        assert_eq!(read(Chat, &native(word)).await.1, Ok(expected), "{word}");
    }
    for word in ["STOP", "end_turn", "completed", "<|eot_id|>"] {
        whole(read(Chat, &native(word)).await);
    }
    for (protocol, frames) in [
        (
            Chat,
            all(&[&words(), &[chunk(json!({}), json!("error")), done()]]),
        ),
        (
            Ollama,
            vec![
                json!({"message": {"content": TEXT}, "done": true, "done_reason": "runner_error"}),
            ],
        ),
        (
            Anthropic,
            all(&[&[started("a"), block(TEXT)], &ended("stream_error")]),
        ),
        (Gemini, vec![generated(TEXT, json!("INTERNAL_ERROR"))]),
    ] {
        fails(read(protocol, &frames).await, "error");
    }
}

#[tokio::test]
async fn a_filter_after_the_reason_takes_the_end_back() {
    let filter = |is_filtered: bool| {
        json!({"choices": [{"index": 0, "finish_reason": null,
            "content_filter_results": {"hate": {"filtered": is_filtered, "severity": "low"}}}]})
    };
    let with = |last: Value| all(&[&[role()], &words(), &[stop(), last, done()]]);
    let filtered = Ok(Stop::ContentFilter);
    assert_eq!(read(Chat, &with(filter(true))).await.1, filtered);
    assert_eq!(
        read(Chat, &with(chunk(json!({}), json!("content_filter"))))
            .await
            .1,
        filtered
    );
    whole(read(Chat, &with(filter(false))).await);
    let rated = |is_blocked: bool| {
        let mut last = generated("", json!("STOP"));
        last["candidates"][0]["safetyRatings"] =
            json!([{"category": "HATE", "probability": "LOW", "blocked": is_blocked}]);
        [generated(TEXT, Value::Null), last]
    };
    assert_eq!(read(Gemini, &rated(true)).await.1, filtered);
    whole(read(Gemini, &rated(false)).await);
    let [refused, end] = ended("refusal");
    let [natural, _] = ended("end_turn");
    for reasons in [
        [natural.clone(), refused.clone()],
        [refused, natural.clone()],
    ] {
        let frames = all(&[
            &[started("a"), block(TEXT)],
            &reasons,
            std::slice::from_ref(&end),
        ]);
        assert_eq!(read(Anthropic, &frames).await.1, Ok(Stop::Refusal));
    }
    // A message that the upstream itself calls incomplete.
    let mut cut = message(TEXT);
    cut["status"] = json!("incomplete");
    let frames = [created("r1"), delta(TEXT), completed(json!([cut]))];
    assert_eq!(read(Responses, &frames).await.1, Ok(Stop::Other));
}

#[tokio::test]
async fn forms_that_prove_nothing_are_read_leniently() {
    let usage = |counts: Value| json!({"id": "c1", "choices": [], "usage": counts});
    for counts in [
        json!({"prompt_tokens": 7.0, "completion_tokens": 5.0}),
        json!({"prompt_tokens": null, "completion_tokens": "5", "prompt_tokens_details": []}),
        json!({"completion_tokens": {"text": 5}}),
        json!("none"),
    ] {
        whole(
            read(
                Chat,
                &all(&[&[role()], &words(), &[stop(), usage(counts), done()]]),
            )
            .await,
        );
    }
    let mut numberless = words();
    for word in &mut numberless {
        word["choices"][0]["index"] = Value::Null;
        word["error"] = json!({});
    }
    whole(read(Chat, &all(&[&numberless, &[stop(), done()]])).await);
    let mut last = all(&[&[started("a"), block(TEXT)], &ended("end_turn")]);
    last[2]["usage"] =
        json!({"output_tokens": 5.0, "output_tokens_details": {"thinking_tokens": null}});
    whole(read(Anthropic, &last).await);
    let last = json!({"message": {"content": TEXT}, "done": true, "done_reason": "stop", "eval_count": 5.0, "prompt_eval_count": null});
    whole(read(Ollama, &[last]).await);
    let mut last = generated(TEXT, json!("STOP"));
    last["usageMetadata"] = json!({"promptTokenCount": 7.0, "candidatesTokenCount": "5"});
    last["candidates"][0]["index"] = Value::Null;
    whole(read(Gemini, &[last]).await);
    let parts = chunk(
        json!({"content": ["The ", {"type": "text", "text": "river "}, "is ", {"text": "wide."}]}),
        Value::Null,
    );
    whole(read(Chat, &[parts, stop(), done()]).await);
}

#[tokio::test]
async fn text_may_stand_among_parts_or_in_their_place() {
    for content in [
        json!(TEXT),
        json!([TEXT]),
        json!(["The river ", {"type": "output_text", "text": "is wide."}]),
    ] {
        let item = json!({"type": "message", "id": "i1", "content": content});
        let frames = [created("r1"), completed(json!([item]))];
        whole(read(Responses, &frames).await);
        let frames = [created("r1"), item_done(0, item), completed(json!([]))];
        whole(read(Responses, &frames).await);
    }
    for content in [
        json!(TEXT),
        json!(["The river ", {"type": "text", "text": "is wide."}]),
    ] {
        let message =
            json!({"type": "message", "id": "a", "content": content, "stop_reason": "end_turn"});
        whole(read(Anthropic, &[message]).await);
        let last = json!({"type": "message_stop", "message": {"content": content}});
        let [reason, _] = ended("end_turn");
        whole(read(Anthropic, &[started("a"), reason, last]).await);
    }
    for parts in [json!([TEXT]), json!(["The river ", {"text": "is wide."}])] {
        let last = json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]});
        whole(read(Gemini, &[last]).await);
    }
    // An item that cannot be read may have been text.
    let item = json!({"type": "message", "content": [{"type": "output_text", "text": 7}]});
    fails(
        read(
            Responses,
            &[created("r1"), item_done(0, item), completed(json!([]))],
        )
        .await,
        "cannot be read",
    );
    let item = json!({"type": "hologram", "content": 7});
    let frames = [
        created("r1"),
        delta(TEXT),
        item_done(0, item),
        completed(json!([])),
    ];
    whole(read(Responses, &frames).await);
}

#[tokio::test]
async fn several_documents_in_one_event_are_read_one_after_the_other() {
    for between in ["", " ", "\ndata: "] {
        let documents = all(&[&[role()], &words(), &[stop()]]);
        let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
        whole(read(Chat, &[json!(documents.join(between)), done()]).await);
        let with_mark = format!("{}{between}[DONE]", documents.join(between));
        whole(read(Chat, &[json!(with_mark)]).await);
    }
    let parts = WORDS
        .map(|word| generated(word, Value::Null).to_string())
        .concat();
    whole(read(Gemini, &[json!(parts), generated("", json!("STOP"))]).await);
    // A document that is cut, or words after one, are an error.
    let cut = format!("{}{{\"choices\":", words()[0]);
    fails(
        read(Chat, &[json!(cut), stop(), done()]).await,
        "cannot be read",
    );
}

#[tokio::test]
async fn calls_are_never_lost_and_never_merged() {
    let call = |id: Value, name: &str, arguments: Value| json!({"type": "function", "id": id, "function": {"name": name, "arguments": arguments}});
    let calls_of = async |protocol: Protocol, frames: &[Value]| -> Vec<String> {
        let (events, end) = events(protocol, frames).await;
        assert_eq!(end, Ok(Stop::ToolUse));
        let calls = events.iter().filter_map(|event| match event {
            Event::ToolCall {
                name, arguments, ..
            } => Some(format!("{name}{arguments}")),
            _ => None,
        });
        calls.collect()
    };
    let rome = json!({"city": "Rome"});
    let both = ["w{\"city\":\"Rome\"}", "t{}"];
    for (first, second) in [
        (json!(rome.to_string()), json!("")),
        (rome.clone(), Value::Null),
    ] {
        for id in [Value::Null, json!("")] {
            let calls = json!([
                call(id.clone(), "w", first.clone()),
                call(id.clone(), "t", second.clone())
            ]);
            let frames = [
                chunk(json!({"tool_calls": calls}), Value::Null),
                chunk(json!({}), json!("tool_calls")),
                done(),
            ];
            assert_eq!(calls_of(Chat, &frames).await, both);
            let apart = [
                call(id.clone(), "w", first.clone()),
                call(id, "t", second.clone()),
            ];
            let apart = apart.map(|call| chunk(json!({"tool_calls": [call]}), Value::Null));
            let frames = all(&[&apart, &[chunk(json!({}), json!("stop")), done()]]);
            assert_eq!(calls_of(Chat, &frames).await, both);
        }
    }
    // Over Responses: as an item that had not begun, or only at the end.
    let item = json!({"type": "function_call", "call_id": "f1", "name": "w", "arguments": "{\"city\":\"Rome\"}"});
    let once = &both[..1];
    for frames in [
        vec![item_done(0, item.clone()), completed(json!([item]))],
        vec![completed(json!([item]))],
        vec![delta(TEXT), completed(json!([message(TEXT), item]))],
        vec![
            event(
                "output_item.added",
                json!({"output_index": 0, "item": {"type": "function_call", "call_id": "f1", "name": "w", "arguments": ""}}),
            ),
            event(
                "function_call_arguments.done",
                json!({"output_index": 0, "arguments": "{\"city\":\"Rome\"}"}),
            ),
            completed(json!([])),
        ],
    ] {
        assert_eq!(
            calls_of(Responses, &all(&[&[created("r1")], &frames])).await,
            once
        );
    }
    // Anthropic: an object at first, then the pieces; or all of it at first.
    let tool = |input: Value| json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t1", "name": "w", "input": input}});
    let piece = |json: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json}});
    for begin in [
        vec![
            tool(json!({})),
            piece("{}"),
            piece("{\"city\":"),
            piece("\"Rome\"}"),
        ],
        vec![tool(rome.clone())],
        vec![tool(rome.clone()), piece("{\"city\":"), piece("\"Rome\"}")],
        vec![tool(json!("{\"city\":\"Rome\"}"))],
    ] {
        let frames = all(&[&[started("a")], &begin, &ended("end_turn")]);
        assert_eq!(calls_of(Anthropic, &frames).await, once);
    }
    // Ollama and Gemini: arguments in a string.
    let line = json!({"message": {"tool_calls": [{"function": {"name": "w", "arguments": "{\"city\":\"Rome\"}"}}, {"function": {"name": "t"}}]}, "done": true, "done_reason": "stop"});
    assert_eq!(calls_of(Ollama, &[line]).await, both);
    let parts = json!([{"functionCall": {"name": "w", "args": rome}}, {"functionCall": {"name": "t", "args": null}}]);
    let last = json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]});
    assert_eq!(calls_of(Gemini, &[last]).await, both);
}

#[tokio::test]
async fn a_call_that_is_spoken_of_and_does_not_come_is_an_error() {
    let frames = all(&[
        &[role()],
        &words(),
        &[chunk(json!({}), json!("tool_calls")), done()],
    ]);
    fails(read(Chat, &frames).await, "no call came");
    let frames = all(&[&[started("a"), block(TEXT)], &ended("tool_use")]);
    fails(read(Anthropic, &frames).await, "no call came");
    let pieces = event(
        "function_call_arguments.delta",
        json!({"output_index": 0, "delta": "{}"}),
    );
    let frames = [created("r1"), pieces, completed(json!([]))];
    fails(read(Responses, &frames).await, "never began");
}

/// What a server is asked, if it refuses what `is_refused` says of a body.
async fn asked(
    ask: impl FnOnce(Request) -> Request,
    is_refused: fn(&Value) -> Option<Value>,
) -> (Vec<Value>, Result<Stop, String>) {
    let frames = all(&[&[role()], &words(), &[stop(), done()]]);
    let server = Server::start(move |request| {
        match is_refused(&serde_json::from_slice(&request.body).unwrap()) {
            Some(error) => Reply::status(400)
                .header("content-type", "application/json")
                .body(error.to_string()),
            None => reply(Chat, &frames),
        }
    });
    let (_, end) = drain(ask(question(Chat, &server)).text()).await;
    let bodies = server.requests();
    let bodies = bodies
        .iter()
        .map(|asked| serde_json::from_slice(&asked.body).unwrap());
    let end = end.map(|outcome| outcome.stop);
    (bodies.collect(), end.map_err(|error| error.to_string()))
}

#[tokio::test]
async fn a_request_that_is_refused_for_its_form_is_made_in_another() {
    let refuse_options = |body: &Value| {
        let detail = json!([{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]);
        body.get("stream_options")
            .map(|_| json!({"message": {"detail": detail}}))
    };
    let (bodies, end) = asked(|request| request, refuse_options).await;
    assert_eq!((bodies.len(), end), (2, Ok(Stop::End)));
    for (refuse, has, lacks) in [
        (
            (|body: &Value| {
                body.get("max_tokens").map(|_| json!({"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}))
            }) as fn(&Value) -> Option<Value>,
            "max_completion_tokens",
            "max_tokens",
        ),
        (
            |body| {
                body.get("max_tokens")
                    .map(|_| json!({"detail": "unknown field `max_tokens`"}))
            },
            "max_completion_tokens",
            "max_tokens",
        ),
    ] {
        let (bodies, end) = asked(|request| request.max_tokens(9), refuse).await;
        assert_eq!(end, Ok(Stop::End));
        assert_eq!(bodies[1][has], 9);
        assert!(bodies[1].get(lacks).is_none());
    }
}

#[tokio::test]
async fn a_request_that_is_refused_for_its_values_is_not_changed() {
    let too_large = |_: &Value| {
        Some(
            json!({"error": {"message": "max_tokens is too large: 9. This model supports at most 5"}}),
        )
    };
    let (bodies, end) = asked(|request| request.max_tokens(9), too_large).await;
    assert_eq!(bodies.len(), 1);
    assert!(end.unwrap_err().contains("too large"));
    let no_temperature =
        |_: &Value| Some(json!({"error": {"message": "Unsupported parameter: 'temperature'"}}));
    let (bodies, end) = asked(|request| request.temperature(1.0), no_temperature).await;
    assert_eq!(bodies.len(), 1);
    let error = end.unwrap_err();
    assert!(
        error.contains("`--temperature` sends `temperature`"),
        "{error}"
    );
    // What the caller has put there himself stays.
    let no_options = |body: &Value| {
        body.get("stream_options")
            .map(|_| json!({"error": "no stream_options"}))
    };
    let ask = |request: Request| request.extra("stream_options", json!({"include_usage": true}));
    let (bodies, end) = asked(ask, no_options).await;
    assert_eq!(bodies.len(), 1);
    assert!(end.is_err());
}

#[tokio::test]
async fn a_refused_connection_is_tried_once_more_and_asks_whether_it_runs() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = Server::start(|_| Reply::status(500));
    let request = question(Chat, &server).base_url(address).retries(5);
    let mut answer = request.text();
    let end = futures_util::StreamExt::next(&mut answer).await;
    let error = end.unwrap().unwrap_err().to_string();
    assert!(error.contains("is it running"), "{error}");
    assert_eq!(answer.outcome().retries, 1);
}

#[tokio::test]
async fn the_count_of_tokens_speaks_only_where_the_upstream_does_not() {
    let usage =
        |count: u64| json!({"id": "c1", "choices": [], "usage": {"completion_tokens": count}});
    for (reason, count, expected) in [
        (json!("stop"), 1500, Stop::End),
        (json!("stop"), 9, Stop::End),
        (Value::Null, 9, Stop::MaxTokens),
        (Value::Null, 3, Stop::Unstated),
    ] {
        let frames = all(&[
            &[role()],
            &words(),
            &[chunk(json!({}), reason), usage(count), done()],
        ]);
        let server = Server::start(move |_| reply(Chat, &frames));
        let (_, end) = drain(question(Chat, &server).max_tokens(9).text()).await;
        assert_eq!(end.unwrap().stop, expected, "{count}");
    }
    for (count, expected) in [(5, Stop::Doubtful), (4, Stop::End), (6, Stop::End)] {
        let frames = [created("r1"), delta(TEXT), completed(json!([]))];
        let server = Server::start(move |_| reply(Responses, &frames));
        // The upstream says that it has used 5.
        let (_, end) = drain(question(Responses, &server).max_tokens(count).text()).await;
        let outcome = end.unwrap();
        assert_eq!(outcome.stop, expected, "of {count}");
        assert_eq!(
            outcome.doubts.len(),
            usize::from(expected == Stop::Doubtful)
        );
    }
}

#[tokio::test]
async fn an_answer_has_to_match_the_schema_only_where_it_came_to_its_end() {
    let schema =
        json!({"type": "object", "required": ["km"], "properties": {"km": {"type": "number"}}});
    let pieces = |text: &str| -> Vec<Value> {
        let pieces = text
            .as_bytes()
            .chunks(3)
            .map(|piece| std::str::from_utf8(piece).unwrap());
        pieces
            .map(|piece| chunk(json!({"content": piece}), Value::Null))
            .collect()
    };
    let call = json!({"tool_calls": [{"id": "c", "function": {"name": "w", "arguments": "{}"}}]});
    for (text, last, expected) in [
        ("{\"km\": 7}", stop(), Stop::End),
        (" {\"km\": 7.5, \"more\": []}\n", stop(), Stop::End),
        ("{\"km\": \"7\"}", stop(), Stop::Mismatch),
        ("Here: {\"km\": 7}", stop(), Stop::Mismatch),
        ("", stop(), Stop::Mismatch),
        (
            "{\"km\": ",
            chunk(json!({}), json!("length")),
            Stop::MaxTokens,
        ),
        ("I look.", chunk(call, json!("tool_calls")), Stop::ToolUse),
    ] {
        let frames = all(&[&[role()], &pieces(text), &[last, done()]]);
        let server = Server::start(move |_| reply(Chat, &frames));
        let (found, end) = drain(question(Chat, &server).schema(schema.clone()).text()).await;
        let outcome = end.unwrap();
        assert_eq!((found.concat().as_str(), outcome.stop), (text, expected));
        assert_eq!(
            outcome.doubts.is_empty(),
            expected != Stop::Mismatch,
            "{text}"
        );
    }
    let wrong = question(Chat, &Server::start(|_| Reply::status(500))).schema(json!({"type": 7}));
    let error = drain(wrong.text()).await.1.unwrap_err();
    assert!(
        error.is_request() && error.to_string().contains("schema is invalid"),
        "{error}"
    );
}
