//! Models and servers of models that were written elsewhere, started here and asked.
//!
//! As with `real_servers`, `scripts/test` installs them; without that these tests say that
//! they are skipped, and why.

use serde_json::{Value, json};

use crate::real_servers::RealServer;
use crate::{run, unspool};

/// What `aimock.js` answers to `poem`.
const TEXT: &str = "Drizzle on Zürich 🌧️ — 今日は雨です. A family 👨‍👩‍👧 smiles 🙂\n\
                    and the tram hums “nonstop”.";
const THOUGHTS: &str = "They ask for rain; a short verse with naïve words will do ✍️.";

const PROVIDERS: [&str; 5] = ["anthropic", "openai", "responses", "ollama", "gemini"];

/// Asks: exit code, standard output, standard error, and the account.
fn ask(server: &RealServer, provider: &str, args: &[&str]) -> (i32, String, String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("account.json");
    let base = [
        "ask",
        "--base-url",
        &server.url,
        "--provider",
        provider,
        "--model",
        "smollm2",
    ];
    let file = ["--account", account.to_str().unwrap()];
    let output = unspool(&[&base, args, &file].concat()).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        serde_json::from_slice(&std::fs::read(&account).unwrap()).unwrap(),
    )
}

#[test]
fn a_real_model_answers_over_three_protocols() {
    let Some(server) = RealServer::start("python", "llama.py") else {
        return;
    };
    for provider in ["anthropic", "openai", "responses"] {
        let (code, text, words, account) = ask(
            &server,
            provider,
            &["Tell a long story about rain.", "--max-tokens", "12"],
        );
        // Over Responses this server calls such an answer complete, which its count speaks
        // against.
        let (cut, stop) = match provider {
            "responses" => (3, "doubtful"),
            _ => (4, "max-tokens"),
        };
        assert_eq!(code, cut, "{provider}: {words}");
        assert!(!text.trim().is_empty(), "{provider}");
        assert_eq!(account["stop"], stop, "{provider}: {account}");
        assert_eq!(
            account["usage"]["output_tokens"], 12,
            "{provider}: {account}"
        );
        assert_eq!(account["text_bytes"], text.len(), "{provider}");
        assert_eq!(account["requests"], 1);

        // One event a token: that the pieces of a greedy answer are the same text shows that
        // none is lost.
        let greedy = [
            "Tell a long story about rain.",
            "--max-tokens",
            "24",
            "--temperature",
            "0",
        ];
        let (_, text, words, _) = ask(&server, provider, &greedy);
        let (code, lines, _, account) =
            ask(&server, provider, &[&greedy[..], &["--events"]].concat());
        assert_eq!(code, cut, "{provider}: {words}");
        let events = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let pieces = events.filter(|event| event["type"] == "text");
        let joined: String = pieces
            .map(|event| event["text"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(joined, text, "{provider}");
        assert!(
            account["deltas"].as_u64().unwrap() > 5,
            "{provider}: {account}"
        );

        let (code, text, words, account) = ask(
            &server,
            provider,
            &["Tell a long story about rain.", "--stop-at", "[a-z] [a-z]"],
        );
        assert_eq!(code, 0, "{provider}: {words}");
        assert_eq!(account["stop"], "asked", "{provider}");
        assert_eq!(
            text.matches(' ').count(),
            text.trim_end().matches(' ').count(),
            "{provider}"
        );

        let (code, text, words, account) = ask(
            &server,
            provider,
            &["Hi", "--extra", r#"{"messages": null, "input": null}"#],
        );
        assert_eq!((code, text.as_str()), (1, ""), "{provider}: {words}");
        assert!(words.contains("answered "), "{provider}: {words}");
        assert_eq!(account["stop"], "failed", "{provider}");
    }
}

#[test]
fn the_same_answer_over_five_protocols() {
    let Some(server) = RealServer::start("node", "aimock.js") else {
        return;
    };
    for provider in PROVIDERS {
        // It cuts text between UTF-16 units: a character may come in two halves.
        for prompt in ["a poem", "splits"] {
            let (code, text, words, account) = ask(&server, provider, &[prompt]);
            assert_eq!((code, text.as_str()), (0, TEXT), "{provider}: {words}");
            assert_eq!(account["complete"], true, "{provider}: {account}");
        }
        let (code, text, words, _) = ask(
            &server,
            provider,
            &["busy once", "-H", &format!("X-Test-Id: {provider}")],
        );
        assert_eq!((code, text.as_str()), (0, TEXT), "{provider}: {words}");
        assert!(
            words.contains("2 requests (1 repeated)"),
            "{provider}: {words}"
        );

        let (code, text, words, _) = ask(&server, provider, &["invalid"]);
        assert_eq!((code, text.as_str()), (1, ""), "{provider}: {words}");
        assert!(words.contains("No such thing."), "{provider}: {words}");
        let (code, _, words, account) = ask(&server, provider, &["overloaded", "--retries", "1"]);
        assert_eq!(code, 1, "{provider}: {words}");
        assert_eq!(account["requests"], 2, "{provider}");

        let (code, _, words, account) = ask(&server, provider, &["broken", "--retries", "0"]);
        assert_eq!(
            (code, &account["complete"]),
            (3, &json!(false)),
            "{provider}: {words}"
        );
        assert!(words.contains("truncated"), "{provider}: {words}");
    }
}

#[test]
fn tools_and_thoughts_over_five_protocols() {
    let Some(server) = RealServer::start("node", "aimock.js") else {
        return;
    };
    for provider in PROVIDERS {
        let (code, lines, words) = run(&[
            "ask",
            "--base-url",
            &server.url,
            "--provider",
            provider,
            "--model",
            "m",
            "--events",
            "both",
        ]);
        assert_eq!(code, 0, "{provider}: {words}");
        let events: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let calls: Vec<(&Value, &Value)> = (events.iter())
            .filter(|event| event["type"] == "tool_call")
            .map(|event| (&event["name"], &event["arguments"]))
            .collect();
        let weather = json!({"city": "Zürich", "days": 2});
        let expected = [
            (&json!("get_weather"), &weather),
            (&json!("get_time"), &json!({})),
        ];
        assert_eq!(calls, expected, "{provider}");
        assert_eq!(events.last().unwrap()["stop"], "tool-use", "{provider}");

        let (code, lines, words) = run(&[
            "ask",
            "--base-url",
            &server.url,
            "--provider",
            provider,
            "--model",
            "m",
            "--events",
            "think",
        ]);
        assert_eq!(code, 0, "{provider}: {words}");
        let all = |kind: &str| -> String {
            let events = lines
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            let events = events.filter(|event| event["type"] == kind);
            events
                .map(|event| event["text"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(all("text"), TEXT, "{provider}");
        // Over Ollama this server has a name of its own for them.
        let expected = if provider == "ollama" { "" } else { THOUGHTS };
        assert_eq!(all("thinking"), expected, "{provider}");
    }
}
