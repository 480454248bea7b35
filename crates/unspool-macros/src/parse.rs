//! Reads a body: Rust statements, with `yield` (which syn knows), and `for await`
//! and `try … finally` (which it does not).
//!
//! What syn does not know is marked by a macro in its place before syn sees it:
//! `for await PATTERN in …` becomes `for __for_await!{PATTERN} in …`, whatever
//! labels and attributes the loop has, and `try {A} finally {B}` becomes
//! `match __try_finally!() { _ => {A} _ => {B} }`. `yield in EXPRESSION` becomes
//! `yield __inner = EXPRESSION`, since nothing binds looser than an assignment.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::parse::Parser;
use syn::{Expr, ExprMatch, ExprYield, Pat, Result, Stmt, Type};

use crate::recover;

/// What the public macro puts first, the header, and the statements of the body.
pub(crate) struct Input {
    /// The path of the crate that exports the macro.
    pub(crate) crate_path: TokenStream,
    /// The expression that makes the constructor believe the closure. It comes from the
    /// public macro, so that whoever calls the inner one needs an `unsafe` of their own.
    pub(crate) promise: TokenStream,
    /// The type in `#![throws(Type)]`.
    pub(crate) throws: Option<Type>,
    pub(crate) statements: Vec<Stmt>,
    /// What is wrong with the statements that are not there.
    pub(crate) unread: Option<syn::Error>,
}

pub(crate) fn input(tokens: TokenStream) -> Result<Input> {
    let mut rest = stack(tokens);
    let (Some(TokenTree::Group(crate_path)), Some(TokenTree::Group(promise))) =
        (rest.pop(), rest.pop())
    else {
        return Err(syn::Error::new(
            Span::call_site(),
            "not for direct use; use `stream!`, `try_stream!` or `generator!` of `unspool-core`",
        ));
    };
    let throws = throws(&mut rest)?;
    let body = rest.into_iter().rev().collect();
    let (statements, unread) = recover::statements(body);
    Ok(Input {
        crate_path: crate_path.stream(),
        promise: promise.stream(),
        throws,
        statements,
        unread,
    })
}

/// Takes `#![throws(Type)]` off the front.
fn throws(rest: &mut Vec<TokenTree>) -> Result<Option<Type>> {
    let attribute = match rest.as_slice() {
        [
            ..,
            TokenTree::Group(attribute),
            TokenTree::Punct(bang),
            TokenTree::Punct(hash),
        ] if hash.as_char() == '#' && bang.as_char() == '!' => stack(attribute.stream()),
        _ => return Ok(None),
    };
    match attribute.as_slice() {
        [TokenTree::Group(argument), TokenTree::Ident(name)] if name == "throws" => {
            rest.truncate(rest.len() - 3);
            syn::parse2(argument.stream()).map(Some)
        }
        _ => Ok(None),
    }
}

/// Marks what syn cannot parse, outside of macro arguments.
pub(crate) fn mark(tokens: TokenStream) -> TokenStream {
    let mut marked = Vec::new();
    let mut rest = stack(tokens);
    let mut is_condition = false;
    while let Some(token) = rest.pop() {
        is_condition = is_in_condition(is_condition, &token, marked.last());
        match token {
            TokenTree::Group(group) if ends_with_macro_name(&marked) => {
                marked.push(TokenTree::Group(group));
            }
            TokenTree::Group(group) => {
                marked.push(regroup(&group, mark(group.stream())));
            }
            TokenTree::Ident(word) if word == "for" && is_word(rest.last(), "await") => {
                let span = word.span();
                marked.push(TokenTree::Ident(word));
                rest.pop();
                let pattern = take_pattern(&mut rest);
                marked.extend(quote_spanned!(span=> __for_await! { #pattern }));
            }
            // `match yield item {`: syn would take the brace for a struct's.
            TokenTree::Ident(word) if word == "yield" && is_condition => {
                let operand = std::iter::from_fn(|| pop_if(&mut rest, |token| !is_block(token)));
                let whole = std::iter::once(TokenTree::Ident(word)).chain(operand);
                let whole = mark(whole.collect());
                marked.push(TokenTree::Group(Group::new(Delimiter::Parenthesis, whole)));
            }
            TokenTree::Ident(word) if word == "yield" && is_word(rest.last(), "in") => {
                let span = word.span();
                marked.push(TokenTree::Ident(word));
                rest.pop();
                marked.extend(quote_spanned!(span=> __inner =));
            }
            TokenTree::Ident(word) if word == "try" => match take_finally(&mut rest) {
                Some((body, last)) => {
                    let (body, last) = (mark(body), mark(last));
                    marked.extend(quote_spanned!(word.span()=> match __try_finally!() { _ => #body _ => #last }));
                }
                None => marked.push(TokenTree::Ident(word)),
            },
            token => marked.push(token),
        }
    }
    marked.into_iter().collect()
}

/// Tokens with the first one on top.
pub(crate) fn stack(tokens: TokenStream) -> Vec<TokenTree> {
    let mut stack: Vec<TokenTree> = tokens.into_iter().collect();
    stack.reverse();
    stack
}

/// Takes the token on top if it is one of these. (`Vec::pop_if` is younger than the oldest
/// compiler that this is for.)
pub(crate) fn pop_if(
    stack: &mut Vec<TokenTree>,
    is_wanted: impl FnOnce(&TokenTree) -> bool,
) -> Option<TokenTree> {
    if is_wanted(stack.last()?) {
        stack.pop()
    } else {
        None
    }
}

/// Whether what follows `token` stands between `match`, `if` or `while` and its
/// block.
fn is_in_condition(was: bool, token: &TokenTree, before: Option<&TokenTree>) -> bool {
    match token {
        TokenTree::Ident(word) => was || word == "match" || word == "if" || word == "while",
        // The guard of an arm ends with `=>`.
        TokenTree::Punct(mark) if mark.as_char() == '>' => {
            was && !matches!(before, Some(TokenTree::Punct(mark)) if mark.as_char() == '=')
        }
        TokenTree::Punct(mark) => was && !matches!(mark.as_char(), ';' | ','),
        TokenTree::Group(_) => was && !is_block(token),
        TokenTree::Literal(_) => was,
    }
}

/// The blocks of `try { … } finally { … }`, after its first word.
fn take_finally(rest: &mut Vec<TokenTree>) -> Option<(TokenStream, TokenStream)> {
    match rest.as_slice() {
        [.., last, TokenTree::Ident(word), body]
            if word == "finally" && is_block(body) && is_block(last) =>
        {
            let blocks = (body.clone().into(), last.clone().into());
            rest.truncate(rest.len() - 3);
            Some(blocks)
        }
        _ => None,
    }
}

/// The blocks of a `try … finally` that [`mark`] has marked.
pub(crate) fn try_finally(expression: &mut ExprMatch) -> Option<(&mut Expr, &mut Expr)> {
    match &*expression.expr {
        Expr::Macro(marker) if marker.mac.path.is_ident("__try_finally") => {}
        _ => return None,
    }
    match expression.arms.as_mut_slice() {
        [body, last] => Some((&mut *body.body, &mut *last.body)),
        _ => None,
    }
}

/// The generator of a `yield in` that [`mark`] has marked.
pub(crate) fn delegated(expression: &mut ExprYield) -> Option<&mut Expr> {
    match expression.expr.as_deref_mut()? {
        Expr::Assign(marker) => match &*marker.left {
            Expr::Path(left) if left.path.is_ident("__inner") => Some(&mut marker.right),
            _ => None,
        },
        _ => None,
    }
}

/// The pattern of a loop that [`mark`] has marked.
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

pub(crate) fn is_word(token: Option<&TokenTree>, expected: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(word)) if word == expected)
}

/// The tokens up to the loop's `in`.
fn take_pattern(rest: &mut Vec<TokenTree>) -> TokenStream {
    std::iter::from_fn(|| pop_if(rest, |token| !is_word(Some(token), "in"))).collect()
}

/// Whether `name!` or `macro_rules! name` stands at the end.
pub(crate) fn ends_with_macro_name(tokens: &[TokenTree]) -> bool {
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

/// Whether a `!` after this word negates what follows: `if !{ … }`.
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
