use crate::run;

#[test]
fn help_lists_the_commands_the_kinds_and_the_codes() {
    let (code, lines, _) = run(&["--help"]);
    let help = lines.join("\n");
    assert_eq!(code, 0);
    for word in [
        "pages",
        "ask",
        "events",
        "rows",
        "demo",
        "Exit codes:",
        "130",
    ] {
        assert!(help.contains(word), "{word} in {help}");
    }
    let (_, lines, _) = run(&["pages", "--help"]);
    let help = lines.join("\n");
    for words in ["Credentials:\n", "--bearer <TOKEN>", "a value `@FILE`"] {
        assert!(help.contains(words), "{words} in {help}");
    }
    for (syntax, about) in unspool::pages::Paginate::kinds() {
        assert!(
            help.contains(&format!("  {syntax}\n")),
            "{syntax} in {help}"
        );
        assert!(help.contains(&about[..20]), "{about} in {help}");
    }
}

#[test]
fn the_help_of_ask_has_all_providers_and_their_variables() {
    let (code, lines, _) = run(&["ask", "--help"]);
    let help = lines.join("\n");
    assert_eq!(code, 0);
    for provider in unspool::ask::Provider::all() {
        for word in provider.variables().chain([provider.name()]) {
            assert!(help.contains(word), "{word} in {help}");
        }
    }
    assert!(help.contains(unspool::ask::DEFAULT_MODEL), "{help}");
}

#[test]
fn the_help_of_events_has_all_kinds_of_feeds() {
    let (code, lines, _) = run(&["events", "--help"]);
    let help = lines.join("\n");
    assert_eq!(code, 0);
    for (name, about) in unspool::events::Transport::all() {
        assert!(help.contains(&format!("  {name}\n")), "{name} in {help}");
        assert!(help.contains(&about[..20]), "{about} in {help}");
    }
}

#[test]
fn no_command_is_a_wrong_request() {
    let (code, lines, words) = run(&[]);
    assert_eq!((code, lines.len()), (2, 0));
    assert!(words.contains("Usage: unspool <COMMAND>"), "{words}");
}
