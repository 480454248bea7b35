//! Reads a body: Rust statements, with `yield` (which syn knows) and `for await`
//! (which it does not).
//!
//! `for await PATTERN in …` becomes `for __for_await!{PATTERN} in …` before
//! syn sees it: a macro in the place of the pattern, which carries the pattern's
//! tokens through the parser, whatever labels and attributes the loop has.

use std::iter::Peekable;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::parse::Parser;
use syn::{Pat, Result, Stmt};

/// The path of the exporting crate, and the statements of the body.
pub(crate) struct Input {
    pub(crate) crate_path: TokenStream,
    pub(crate) statements: Vec<Stmt>,
}

pub(crate) fn input(tokens: TokenStream) -> Result<Input> {
    let mut tokens = tokens.into_iter();
    let crate_path = match tokens.next() {
        Some(TokenTree::Group(group)) => group.stream(),
        _ => {
            return Err(syn::Error::new(
                proc_macro2::Span::call_site(),
                "expected a path in parentheses; use `stream!`, `try_stream!` or `generator!` of `unspool-core`",
            ));
        }
    };
    let statements = syn::Block::parse_within.parse2(mark_for_await(tokens.collect()))?;
    Ok(Input {
        crate_path,
        statements,
    })
}

/// Marks each `for await` outside of macro arguments so that syn can parse it.
pub(crate) fn mark_for_await(tokens: TokenStream) -> TokenStream {
    let mut marked = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) if ends_with_macro_name(&marked) => {
                marked.push(TokenTree::Group(group));
            }
            TokenTree::Group(group) => {
                marked.push(regroup(&group, mark_for_await(group.stream())));
            }
            TokenTree::Ident(word) if word == "for" && next_is_await(&mut tokens) => {
                let span = word.span();
                marked.push(TokenTree::Ident(word));
                tokens.next();
                let pattern = take_pattern(&mut tokens);
                marked.extend(quote_spanned!(span=> __for_await! { #pattern }));
            }
            token => marked.push(token),
        }
    }
    marked.into_iter().collect()
}

/// The pattern of a loop that [`mark_for_await`] has marked.
pub(crate) fn awaited_pattern(pattern: &Pat) -> Option<Result<Pat>> {
    match pattern {
        Pat::Macro(marker) if marker.mac.path.is_ident("__for_await") => {
            Some(Pat::parse_multi_with_leading_vert.parse2(marker.mac.tokens.clone()))
        }
        _ => None,
    }
}

/// The same group around other tokens.
pub(crate) fn regroup(group: &Group, tokens: TokenStream) -> TokenTree {
    let mut regrouped = Group::new(group.delimiter(), tokens);
    regrouped.set_span(group.span());
    TokenTree::Group(regrouped)
}

fn next_is_await(tokens: &mut Peekable<impl Iterator<Item = TokenTree>>) -> bool {
    matches!(tokens.peek(), Some(TokenTree::Ident(word)) if word == "await")
}

/// The tokens up to the loop's `in`.
fn take_pattern(tokens: &mut Peekable<impl Iterator<Item = TokenTree>>) -> TokenStream {
    std::iter::from_fn(|| {
        tokens.next_if(|token| !matches!(token, TokenTree::Ident(word) if word == "in"))
    })
    .collect()
}

/// Whether `name!` or `macro_rules! name` stands at the end.
fn ends_with_macro_name(tokens: &[TokenTree]) -> bool {
    match tokens {
        [.., TokenTree::Ident(name), TokenTree::Punct(bang)] if bang.as_char() == '!' => {
            !is_keyword_before_not(name)
        }
        [
            ..,
            TokenTree::Ident(rules),
            TokenTree::Punct(bang),
            TokenTree::Ident(_),
        ] => rules == "macro_rules" && bang.as_char() == '!',
        _ => false,
    }
}

/// Whether a `!` behind this word negates what follows: `if !{ … }`.
fn is_keyword_before_not(word: &Ident) -> bool {
    [
        "if", "while", "match", "return", "yield", "in", "break", "else",
    ]
    .iter()
    .any(|keyword| word == keyword)
}

/// Whether a group is a block of code.
pub(crate) fn is_block(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}
