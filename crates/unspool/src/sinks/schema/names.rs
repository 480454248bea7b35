//! Names of columns, where a target does not take every key as it comes.

use std::collections::HashSet;

use crate::sinks::Notes;

/// What a target makes of names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameRules {
    /// Whether names that differ only in the case of ASCII letters are the same.
    pub(crate) folds_case: bool,
    /// The most bytes of a name.
    pub(crate) most_bytes: usize,
    /// Whether a name may be empty.
    pub(crate) may_be_empty: bool,
    /// Names that it has for something else.
    pub(crate) reserved: &'static [&'static str],
}

/// The names of a target's columns.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    rules: NameRules,
    taken: HashSet<String>,
    notes: Notes,
}

impl Names {
    pub(crate) fn new(rules: NameRules, notes: Notes) -> Self {
        Names {
            rules,
            taken: (rules.reserved.iter())
                .map(|name| (*name).to_owned())
                .collect(),
            notes,
        }
    }

    /// The name of the column for a key: the key, or where that cannot be or is taken, the
    /// key with a number. Another name than the key is noted.
    pub(crate) fn name(&mut self, key: &str) -> String {
        let base = self.allowed(key);
        let mut name = cut(&base, self.rules.most_bytes).to_owned();
        let mut number = 2;
        while !self.taken.insert(self.folded(&name)) {
            let suffix = format!("_{number}");
            let room = self.rules.most_bytes.saturating_sub(suffix.len());
            name = format!("{}{suffix}", cut(&base, room));
            number += 1;
        }
        if name != key {
            let note = format!("the column of the key `{key}` is `{name}`");
            self.notes.add(note);
        }
        name
    }

    fn allowed(&self, key: &str) -> String {
        if key.is_empty() && !self.rules.may_be_empty {
            "_".to_owned()
        } else {
            key.replace('\0', "\\u0000")
        }
    }

    fn folded(&self, name: &str) -> String {
        if self.rules.folds_case {
            name.to_ascii_lowercase()
        } else {
            name.to_owned()
        }
    }
}

/// At most so many bytes, in whole characters.
fn cut(text: &str, most_bytes: usize) -> &str {
    let mut end = text.len().min(most_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rules: NameRules, keys: &[&str], expected: &[&str]) {
        let notes = Notes::default();
        let mut names = Names::new(rules, notes.clone());
        let given: Vec<String> = keys.iter().map(|key| names.name(key)).collect();
        assert_eq!(given, expected);
        let renamed = keys.iter().zip(expected).filter(|(key, name)| key != name);
        assert_eq!(notes.all().len(), renamed.count());
    }

    #[test]
    fn names_that_a_target_takes_for_the_same_get_numbers() {
        let folds = NameRules {
            folds_case: true,
            most_bytes: usize::MAX,
            may_be_empty: true,
            reserved: &[],
        };
        check(
            folds,
            &["Id", "id", "id_2", "ID", "É", "é", ""],
            &["Id", "id_2", "id_2_2", "ID_3", "É", "é", ""],
        );
        let exact = NameRules {
            folds_case: false,
            ..folds
        };
        check(exact, &["Id", "id", "ID"], &["Id", "id", "ID"]);
    }

    #[test]
    fn names_that_a_target_would_cut_get_numbers_too() {
        let short = NameRules {
            folds_case: false,
            most_bytes: 6,
            may_be_empty: false,
            reserved: &["xmin"],
        };
        check(
            short,
            &["abcdefgh", "abcdefxx", "abcdéf", "", "a\0b", "xmin", "XMIN"],
            &[
                "abcdef", "abcd_2", "abcdé", "_", "a\\u000", "xmin_2", "XMIN",
            ],
        );
    }
}
