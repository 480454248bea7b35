//! What a server is asked, in the words of each protocol.

use serde_json::{Value, json};
use unspool::ask::{
    ANTHROPIC, Attachment, GEMINI, GROQ, Message, OLLAMA, OPENAI, Provider, RESPONSES, Request,
    Stop, Tool, conversation,
};

use super::dialect::{PROTOCOLS, Protocol};
use super::{drain, provider, question};
use crate::server::{Request as Asked, Server};

use Protocol::{Anthropic, Chat, Gemini, Ollama, Responses};

/// What the server is asked by a question that is changed like this.
async fn asked(protocol: Protocol, change: impl FnOnce(Request) -> Request) -> (Asked, Value) {
    let server = Server::start(move |_| protocol.good());
    let (_, outcome) = drain(change(question(protocol, &server)).text()).await;
    assert!(outcome.unwrap().complete);
    let asked = server.requests().remove(0);
    let body = serde_json::from_slice(&asked.body).unwrap();
    (asked, body)
}

fn look() -> Tool {
    Tool {
        name: "look".to_owned(),
        description: "Looks.".to_owned(),
        parameters: json!({"type": "object", "properties": {"city": {"type": "string"}}}),
    }
}

fn all(protocol: Protocol, request: Request) -> Request {
    let request = request
        .system("Be brief.")
        .message(Message::assistant("It is me."))
        .message(Message::user("Who?"))
        .tool(look())
        .max_tokens(50)
        .temperature(0.5);
    match protocol {
        // It has none.
        Responses => request,
        _ => request.stop_sequence("END").stop_sequence("\n\n"),
    }
}

#[tokio::test]
async fn what_a_protocol_cannot_carry_is_refused_before_anything_is_sent() {
    let server = Server::start(|_| Responses.good());
    let request = question(Responses, &server).stop_sequence("END");
    let (_, end) = drain(request.text()).await;
    let error = end.unwrap_err();
    assert!(error.is_request(), "{error}");
    assert!(error.to_string().contains("no stop sequences"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_plain_question_asks_for_a_stream_and_nothing_more() {
    for protocol in PROTOCOLS {
        let (asked, body) = asked(protocol, |request| request).await;
        let user = json!([{"role": "user", "content": "Who is there?"}]);
        let (target, expected) = match protocol {
            Anthropic => (
                "/v1/messages",
                json!({"model": "m-1", "max_tokens": 1024, "messages": user, "stream": true}),
            ),
            Chat => (
                "/v1/chat/completions",
                json!({"model": "m-1", "messages": user, "stream": true,
                    "stream_options": {"include_usage": true}}),
            ),
            Responses => (
                "/v1/responses",
                json!({"model": "m-1", "input": user, "stream": true}),
            ),
            Ollama => (
                "/api/chat",
                json!({"model": "m-1", "messages": user, "options": {}, "stream": true}),
            ),
            Gemini => (
                "/v1beta/models/m-1:streamGenerateContent?alt=sse",
                json!({"contents": [{"role": "user", "parts": [{"text": "Who is there?"}]}],
                    "generationConfig": {}}),
            ),
        };
        assert_eq!(
            (asked.method.as_str(), asked.target.as_str()),
            ("POST", target)
        );
        assert_eq!(body, expected, "{protocol:?}");
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!(
            asked.header("accept"),
            Some("text/event-stream, application/json")
        );
        let key = match protocol {
            Anthropic => ("x-api-key", "sk-test-0123456789"),
            Gemini => ("x-goog-api-key", "sk-test-0123456789"),
            Chat | Responses | Ollama => ("authorization", "Bearer sk-test-0123456789"),
        };
        assert_eq!(asked.header(key.0), Some(key.1));
    }
}

#[tokio::test]
async fn all_that_can_be_said_is_said_in_the_words_of_the_protocol() {
    let user = |text: &str| json!({"role": "user", "content": text});
    let messages = [
        user("Who is there?"),
        json!({"role": "assistant", "content": "It is me."}),
        user("Who?"),
    ];
    let system_first: Vec<Value> =
        std::iter::once(json!({"role": "system", "content": "Be brief."}))
            .chain(messages.iter().cloned())
            .collect();
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function = json!({"name": "look", "description": "Looks.", "parameters": schema});
    for protocol in PROTOCOLS {
        let (_, body) = asked(protocol, |request| all(protocol, request)).await;
        let expected = match protocol {
            Anthropic => json!({
                "model": "m-1", "system": "Be brief.", "messages": messages, "max_tokens": 50,
                "temperature": 0.5, "stop_sequences": ["END", "\n\n"], "stream": true,
                "tools": [{"name": "look", "description": "Looks.", "input_schema": schema}],
            }),
            Chat => json!({
                "model": "m-1", "messages": system_first, "max_tokens": 50, "temperature": 0.5,
                "stop": ["END", "\n\n"], "stream": true,
                "stream_options": {"include_usage": true},
                "tools": [{"type": "function", "function": function}],
            }),
            Responses => json!({
                "model": "m-1", "instructions": "Be brief.", "input": messages,
                "max_output_tokens": 50, "temperature": 0.5, "stream": true,
                "tools": [{"type": "function", "name": "look", "description": "Looks.",
                    "parameters": schema}],
            }),
            Ollama => json!({
                "model": "m-1", "messages": system_first, "stream": true,
                "options": {"num_predict": 50, "temperature": 0.5, "stop": ["END", "\n\n"]},
                "tools": [{"type": "function", "function": function}],
            }),
            Gemini => json!({
                "contents": [
                    {"role": "user", "parts": [{"text": "Who is there?"}]},
                    {"role": "model", "parts": [{"text": "It is me."}]},
                    {"role": "user", "parts": [{"text": "Who?"}]},
                ],
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "generationConfig": {"maxOutputTokens": 50, "temperature": 0.5,
                    "stopSequences": ["END", "\n\n"]},
                "tools": [{"functionDeclarations": [function]}],
            }),
        };
        assert_eq!(body, expected, "{protocol:?}");
    }
}

#[tokio::test]
async fn extra_fields_are_merged_and_null_takes_one_away() {
    for protocol in PROTOCOLS {
        let (_, body) = asked(protocol, |request| {
            request
                .temperature(0.5)
                .extra("seed", 7)
                .extra("temperature", Value::Null)
                .extra("stream_options", Value::Null)
                .extra("options", json!({"temperature": null, "num_ctx": 8192}))
                .extra("generationConfig", json!({"topK": 3}))
        })
        .await;
        assert_eq!(body["seed"], 7);
        assert!(body.get("temperature").is_none() && body.get("stream_options").is_none());
        let (options, config) = match protocol {
            Gemini => (
                json!({"num_ctx": 8192}),
                json!({"temperature": 0.5, "topK": 3}),
            ),
            _ => (json!({"num_ctx": 8192}), json!({"topK": 3})),
        };
        assert_eq!(
            (&body["options"], &body["generationConfig"]),
            (&options, &config)
        );
    }
}

#[tokio::test]
async fn a_conversation_keeps_its_order_and_the_system_its_place() {
    for protocol in PROTOCOLS {
        let server = Server::start(move |_| protocol.good());
        let parts = json!([{"type": "text", "text": "a part"}]);
        let messages = [
            Message::system("First."),
            Message::user("a"),
            Message::assistant("b"),
            Message {
                role: "user".to_owned(),
                content: parts.clone(),
                ..Message::default()
            },
        ];
        let request = conversation(messages)
            .provider(provider(protocol))
            .model("m-1")
            .base_url(server.url(""));
        let (_, outcome) = drain(request.text()).await;
        assert!(outcome.unwrap().complete);
        let body: Value = serde_json::from_slice(&server.requests()[0].body).unwrap();
        let (system, messages) = match protocol {
            Anthropic => (&body["system"], &body["messages"]),
            Responses => (&body["instructions"], &body["input"]),
            Gemini => (
                &body["systemInstruction"]["parts"][0]["text"],
                &body["contents"],
            ),
            Chat | Ollama => (&body["messages"][0]["content"], &body["messages"]),
        };
        assert_eq!(system, "First.", "{protocol:?}");
        let last = messages.as_array().unwrap().last().unwrap();
        let content = match protocol {
            Gemini => &last["parts"],
            _ => &last["content"],
        };
        assert_eq!(content, &parts, "{protocol:?}");
        let roles: Vec<&str> = (messages.as_array().unwrap().iter())
            .map(|message| message["role"].as_str().unwrap())
            .collect();
        let expected: &[&str] = match protocol {
            Chat | Ollama => &["system", "user", "assistant", "user"],
            Gemini => &["user", "model", "user"],
            Anthropic | Responses => &["user", "assistant", "user"],
        };
        assert_eq!(roles, expected, "{protocol:?}");
    }
}

#[tokio::test]
async fn sampling_asks_for_the_older_version_of_anthropic() {
    let version = async |change: fn(Request) -> Request| {
        let (asked, body) = asked(Anthropic, change).await;
        (asked.header("anthropic-version").unwrap().to_owned(), body)
    };
    assert_eq!(version(|request| request).await.0, "2026-10-21");
    let (found, body) = version(|request| request.temperature(1.0)).await;
    assert_eq!(
        (found.as_str(), &body["temperature"]),
        ("2023-06-01", &json!(1.0))
    );
    assert_eq!(
        version(|request| request.extra("top_k", 3)).await.0,
        "2023-06-01"
    );
    assert_eq!(
        version(|request| request.extra("top_p", 0.5)).await.0,
        "2023-06-01"
    );
    let taken_away = |request: Request| request.temperature(1.0).extra("temperature", Value::Null);
    assert_eq!(version(taken_away).await.0, "2026-10-21");
    let said = |request: Request| request.header("anthropic-version", "2022-01-01");
    assert_eq!(version(said).await.0, "2022-01-01");
}

#[tokio::test]
async fn headers_of_the_caller_go_before_those_of_the_protocol() {
    for protocol in PROTOCOLS {
        let name = match protocol {
            Anthropic => "x-api-key",
            Gemini => "x-goog-api-key",
            Chat | Responses | Ollama => "authorization",
        };
        let (asked, _) = asked(protocol, |request| {
            request
                .header(name, "mine")
                .header("x-trace", "7")
                .header("accept", "text/plain")
        })
        .await;
        let values = |name: &str| {
            let found = asked
                .headers
                .iter()
                .filter(|(found, _)| found.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(values(name), ["mine"], "{protocol:?}");
        assert_eq!(values("x-trace"), ["7"]);
        assert_eq!(values("accept"), ["text/plain"]);
    }
}

#[tokio::test]
async fn a_base_may_have_a_path_a_user_and_a_query() {
    let server = Server::start(|_| Chat.good());
    let base = server.url("/proxy/v1/?team=7").replace("://", "://ada:pw@");
    let (_, outcome) = drain(question(Chat, &server).base_url(base).text()).await;
    assert!(outcome.unwrap().complete);
    let asked = server.requests().remove(0);
    assert_eq!(asked.target, "/proxy/v1/chat/completions?team=7");
    // The key is said more plainly than the user of the address.
    assert_eq!(
        asked.header("authorization"),
        Some("Bearer sk-test-0123456789")
    );

    let base = server.url("/v1").replace("://", "://ada:pw@");
    let request = unspool::ask("?").provider(OPENAI).model("m").base_url(base);
    assert!(drain(request.text()).await.1.unwrap().complete);
    let basic = server.requests().remove(1);
    assert_eq!(basic.header("authorization"), Some("Basic YWRhOnB3"));
}

#[tokio::test]
async fn the_provider_is_told_by_the_model_or_the_base() {
    let server = Server::start(|asked| match asked.path() {
        "/v1/messages" => Anthropic.good(),
        "/api/chat" => Ollama.good(),
        _ => Chat.good(),
    });
    for (model, provider) in [
        ("claude-sonnet-4-6", ANTHROPIC),
        ("llama3.2:1b", OLLAMA),
        ("gpt-5.1", OPENAI),
        ("some-model", OPENAI),
    ] {
        let request = unspool::ask("?")
            .model(model)
            .base_url(server.url(""))
            .api_key("k");
        let (_, outcome) = drain(request.text()).await;
        assert_eq!(
            outcome.unwrap().provider.as_deref(),
            Some(provider.name()),
            "{model}"
        );
    }
}

#[tokio::test]
async fn a_client_of_the_callers_is_used() {
    for protocol in PROTOCOLS {
        let server = Server::start(move |_| protocol.good());
        let client = reqwest::Client::builder()
            .user_agent("mine/1")
            .build()
            .unwrap();
        let request = question(protocol, &server).client(client);
        assert!(drain(request.text()).await.1.unwrap().complete);
        assert_eq!(server.requests()[0].header("user-agent"), Some("mine/1"));
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n1";
const PNG_DATA: &str = "iVBORw0KGgox";
const GIF: &[u8] = b"GIF89a1";
const PDF: &[u8] = b"%PDF-1.7 1";
const PDF_DATA: &str = "JVBERi0xLjcgMQ==";

#[tokio::test]
async fn files_go_with_the_question_in_the_words_of_the_protocol() {
    let png = || Attachment::new("a.png", PNG).unwrap();
    let pdf = || Attachment::new("b.pdf", PDF).unwrap();
    let (png_url, pdf_url) = (
        format!("data:image/png;base64,{PNG_DATA}"),
        format!("data:application/pdf;base64,{PDF_DATA}"),
    );
    let text = "Who is there?";
    for protocol in PROTOCOLS {
        let (_, body) = asked(protocol, |request| {
            let request = request.attach(png());
            match protocol {
                Ollama => request,
                _ => request.attach(pdf()),
            }
        })
        .await;
        let (found, expected) = match protocol {
            Anthropic => (
                &body["messages"][0]["content"],
                json!([
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_DATA}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA}},
                    {"type": "text", "text": text},
                ]),
            ),
            Chat => (
                &body["messages"][0]["content"],
                json!([
                    {"type": "image_url", "image_url": {"url": png_url}},
                    {"type": "file", "file": {"filename": "b.pdf", "file_data": pdf_url}},
                    {"type": "text", "text": text},
                ]),
            ),
            Responses => (
                &body["input"][0]["content"],
                json!([
                    {"type": "input_image", "image_url": png_url},
                    {"type": "input_file", "filename": "b.pdf", "file_data": pdf_url},
                    {"type": "input_text", "text": text},
                ]),
            ),
            Ollama => (
                &body["messages"][0],
                json!({"role": "user", "content": text, "images": [PNG_DATA]}),
            ),
            Gemini => (
                &body["contents"][0]["parts"],
                json!([
                    {"inlineData": {"mimeType": "image/png", "data": PNG_DATA}},
                    {"inlineData": {"mimeType": "application/pdf", "data": PDF_DATA}},
                    {"text": text},
                ]),
            ),
        };
        assert_eq!(found, &expected, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_file_that_a_protocol_does_not_take_is_refused_with_a_reason() {
    let refused: [(Provider, &[u8], &str); 4] = [
        (OLLAMA, PDF, "`ollama` takes `image/png`"),
        (OLLAMA, GIF, "which is `image/gif`"),
        (GEMINI, GIF, "`gemini` takes"),
        (GROQ, PDF, "which is `application/pdf`: `groq` takes"),
    ];
    let server = Server::start(|_| Chat.good());
    for (provider, content, words) in refused {
        let file = Attachment::new("a", content).unwrap();
        let request = question(Chat, &server).provider(provider).attach(file);
        let error = drain(request.text()).await.1.unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains(words),
            "{error}"
        );
    }
    let file = Attachment::new("a", PNG).unwrap();
    let request = conversation([Message::assistant("a")])
        .provider(OLLAMA)
        .model("m")
        .attach(file);
    let error = drain(request.text()).await.1.unwrap_err();
    assert!(
        error.to_string().contains("no message of the user"),
        "{error}"
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_schema_is_asked_for_in_the_words_of_the_protocol() {
    let strict = json!({"type": "string"});
    let open = json!({"type": "object", "properties": {"a": {}}});
    for (schema, is_strict) in [(strict, true), (open, false)] {
        for protocol in PROTOCOLS {
            let server = Server::start(move |_| protocol.good());
            let request = question(protocol, &server).schema(schema.clone());
            // The text of the answer is no JSON.
            let outcome = drain(request.text()).await.1.unwrap();
            assert_eq!((outcome.stop, outcome.complete), (Stop::Mismatch, false));
            assert!(
                outcome.doubts[0].to_string().contains("not JSON"),
                "{:?}",
                outcome.doubts
            );
            let body: Value = serde_json::from_slice(&server.requests()[0].body).unwrap();
            let named = json!({"name": "answer", "schema": schema, "strict": is_strict});
            let (found, expected) = match protocol {
                Anthropic => (
                    &body["output_config"],
                    json!({"format": {"type": "json_schema", "schema": schema}}),
                ),
                Chat => (
                    &body["response_format"],
                    json!({"type": "json_schema", "json_schema": named}),
                ),
                Responses => {
                    let mut format = named;
                    format["type"] = json!("json_schema");
                    (&body["text"], json!({"format": format}))
                }
                Ollama => (&body["format"], schema.clone()),
                Gemini => (
                    &body["generationConfig"],
                    json!({"responseMimeType": "application/json", "responseJsonSchema": schema}),
                ),
            };
            assert_eq!(found, &expected, "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_second_turn_has_what_its_protocol_allows() {
    let called = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
        "function": {"name": "w", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "c", "content": "rain"});
    let turns: [(Protocol, Vec<Value>); 4] = [
        (Chat, vec![called.clone(), result.clone()]),
        (
            Ollama,
            vec![
                json!({"role": "assistant", "tool_calls": []}),
                json!({"role": "tool", "tool_name": "w", "content": "rain"}),
            ],
        ),
        (
            Responses,
            vec![
                json!({"type": "function_call", "call_id": "c", "name": "w", "arguments": "{}"}),
                json!({"type": "function_call_output", "call_id": "c", "output": "rain"}),
            ],
        ),
        (
            Gemini,
            vec![
                json!({"role": "model", "parts": [{"functionCall": {"name": "w", "args": {}}}]}),
                json!({"role": "user", "parts": [{"functionResponse": {"name": "w", "response": {}}}]}),
            ],
        ),
    ];
    for (protocol, turn) in turns {
        let messages: Vec<Message> = serde_json::from_value(json!(turn)).unwrap();
        let (_, body) = asked(protocol, |request| {
            messages.into_iter().fold(request, Request::message)
        })
        .await;
        let sent = match protocol {
            Responses => &body["input"],
            Gemini => &body["contents"],
            _ => &body["messages"],
        };
        let mut expected = turn;
        for message in &mut expected {
            // What is null says nothing.
            message
                .as_object_mut()
                .unwrap()
                .retain(|_, value| !value.is_null());
        }
        assert_eq!(sent.as_array().unwrap()[1..], expected, "{protocol:?}");
    }
    // An item without a role is one of Responses only.
    let item = Message {
        more: json!({"type": "function_call_output"})
            .as_object()
            .unwrap()
            .clone(),
        ..Message::default()
    };
    for (provider, message, words) in [
        (OPENAI, item, "has no `role`"),
        (RESPONSES, Message::default(), "holds nothing"),
    ] {
        let request = conversation([message])
            .provider(provider)
            .model("m")
            .api_key("k");
        let error = drain(request.text()).await.1.unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains(words),
            "{error}"
        );
    }
}
