//! The body's constructs in the arguments of other macros (`select!` and the
//! like), which syn cannot parse as a whole.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::visit_mut::VisitMut;
use syn::{Expr, ExprForLoop, ExprMatch, ExprYield, Result};

use crate::expand::Body;
use crate::parse::{is_block, is_word, regroup, stack};

/// Rewrites `yield`, plain `return` and what is marked among `tokens`.
pub(crate) fn rewrite(body: &mut Body, tokens: TokenStream) -> TokenStream {
    let mut rewritten = TokenStream::new();
    let mut rest = stack(tokens);
    while let Some(token) = rest.pop() {
        match &token {
            TokenTree::Ident(word) if word == "yield" && !body.is_nested() => {
                expression::<ExprYield>(body, token, &mut rest, &mut rewritten, Expr::Yield);
            }
            TokenTree::Ident(word) if word == "for" && is_word(rest.last(), "__for_await") => {
                expression::<ExprForLoop>(body, token, &mut rest, &mut rewritten, Expr::ForLoop);
            }
            TokenTree::Ident(word) if word == "match" && is_word(rest.last(), "__try_finally") => {
                expression::<ExprMatch>(body, token, &mut rest, &mut rewritten, Expr::Match);
            }
            TokenTree::Ident(word) if word == "return" && body.returns_result() => {
                let span = word.span();
                rewritten.extend([token]);
                if ends_statement(rest.last()) {
                    rewritten.extend(quote_spanned!(span=> ::core::result::Result::Ok(())));
                }
            }
            TokenTree::Ident(word) if is_exit(word) && body.is_in_region() => {
                body.refuse_exit_in_macro(word.span());
            }
            TokenTree::Punct(mark) if mark.as_char() == '?' && body.is_in_region() => {
                body.refuse_exit_in_macro(mark.span());
            }
            TokenTree::Ident(word) if word == "async" => {
                rewritten.extend([token]);
                async_block(body, &mut rest, &mut rewritten);
            }
            TokenTree::Ident(word) if is_own_macro(word) && is_bang(rest.last()) => {
                rewritten.extend([token]);
                rewritten.extend(rest.pop());
                rewritten.extend(rest.pop());
            }
            TokenTree::Group(group) => {
                let inner = rewrite(body, group.stream());
                rewritten.extend([regroup(group, inner)]);
            }
            _ => rewritten.extend([token]),
        }
    }
    rewritten
}

/// Whether `first second` is among `tokens`.
pub(crate) fn has_words(tokens: TokenStream, first: &str, second: &str) -> bool {
    let mut is_behind = false;
    tokens.into_iter().any(|token| {
        let was_behind = is_behind;
        is_behind = is_word(Some(&token), first) || was_behind && is_block(&token);
        match token {
            TokenTree::Ident(word) => was_behind && word == second,
            TokenTree::Group(group) => has_words(group.stream(), first, second),
            _ => false,
        }
    })
}

/// Whether what a `yield` among `tokens` gives may be used. The last one of a block or
/// of an arm stands for it: what becomes of it, only the macro knows, unless that
/// `is_statement`.
pub(crate) fn uses_value(tokens: TokenStream, is_statement: bool) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    (0..tokens.len()).any(|index| match &tokens[index] {
        TokenTree::Ident(word) if word == "yield" => {
            let is_at_begin = match tokens[..index].last() {
                None => true,
                Some(TokenTree::Punct(mark)) => matches!(mark.as_char(), ';' | '>'),
                Some(token) => is_block(token),
            };
            let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';');
            let is_dropped = is_statement || tokens[index..].iter().any(is_end);
            !(is_at_begin && is_dropped)
        }
        TokenTree::Group(group) => uses_value(group.stream(), is_statement),
        _ => false,
    })
}

/// Whether this word may leave a block.
fn is_exit(word: &Ident) -> bool {
    word == "return" || word == "break" || word == "continue"
}

/// Whether this names a macro whose argument is a body of its own.
pub(crate) fn is_own_macro(name: &Ident) -> bool {
    name == "stream" || name == "try_stream" || name == "generator"
}

/// Parses an expression from `first` on, rewrites it, and goes on behind it.
fn expression<T: Parse>(
    body: &mut Body,
    first: TokenTree,
    rest: &mut Vec<TokenTree>,
    rewritten: &mut TokenStream,
    wrap: fn(T) -> Expr,
) {
    let tokens = std::iter::once(first).chain(rest.drain(..).rev()).collect();
    match syn::parse2::<Front<T>>(tokens) {
        Ok(Front(front, behind)) => {
            let mut front = wrap(front);
            body.visit_expr_mut(&mut front);
            front.to_tokens(rewritten);
            rest.extend(behind);
            rest.reverse();
        }
        Err(error) => rewritten.extend(error.to_compile_error()),
    }
}

/// What parses at the front, and the tokens behind it.
struct Front<T>(T, TokenStream);

impl<T: Parse> Parse for Front<T> {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Ok(Front(input.parse()?, input.parse()?))
    }
}

/// The block behind `async` or `async move`, where nothing belongs to the body.
fn async_block(body: &mut Body, rest: &mut Vec<TokenTree>, rewritten: &mut TokenStream) {
    if matches!(rest.last(), Some(TokenTree::Ident(word)) if word == "move") {
        rewritten.extend(rest.pop());
    }
    let Some(TokenTree::Group(group)) = rest.pop_if(|token| is_block(token)) else {
        return;
    };
    body.nested("an async block", |body| {
        match syn::parse2::<syn::Block>(TokenTree::Group(group.clone()).into()) {
            Ok(mut block) => {
                body.visit_block_mut(&mut block);
                block.to_tokens(rewritten);
            }
            Err(_) => rewritten.extend([TokenTree::Group(group)]),
        }
    });
}

fn is_bang(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(bang)) if bang.as_char() == '!')
}

fn ends_statement(token: Option<&TokenTree>) -> bool {
    match token {
        None => true,
        Some(TokenTree::Punct(end)) => matches!(end.as_char(), ';' | ','),
        Some(_) => false,
    }
}
