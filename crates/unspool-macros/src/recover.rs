//! Reads a body that is not whole, as it is while somebody writes it: the statements
//! that can be read, and an error at the token where each of the others breaks off.
//!
//! So an editor still gets an expansion, with the types and names of the rest.

use proc_macro2::{Delimiter, Group, Punct, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::{Block, Error, Result, Stmt, braced};

use crate::parse::{ends_with_macro_name, is_block, mark, regroup};

/// The statements among `tokens`, and what is wrong with the others.
pub(crate) fn statements(tokens: TokenStream) -> (Vec<Stmt>, Option<Error>) {
    match parse(tokens.clone()) {
        Ok(statements) => (statements, None),
        Err(_) => recover(tokens),
    }
}

fn recover(tokens: TokenStream) -> (Vec<Stmt>, Option<Error>) {
    let mut statements = Vec::new();
    let mut errors = Vec::new();
    for chunk in chunks(tokens) {
        match parse(chunk.clone()) {
            Ok(read) => statements.extend(read),
            Err(error) => {
                let (read, error) = mend(chunk, error);
                statements.extend(read);
                errors.push(error);
            }
        }
    }
    (statements, combined(errors))
}

fn combined(errors: Vec<Error>) -> Option<Error> {
    errors.into_iter().reduce(|mut all, error| {
        all.combine(error);
        all
    })
}

/// What can be read of a statement that is not whole.
fn mend(chunk: TokenStream, error: Error) -> (Vec<Stmt>, Error) {
    let (blocks_mended, block_error) = mend_blocks(&chunk);
    if let (Some(block_error), Ok(read)) = (block_error, parse(blocks_mended)) {
        return (read, block_error);
    }
    let end = TokenTree::Punct(Punct::new(';', Spacing::Alone));
    let ended = chunk.into_iter().chain([end]).collect();
    (parse(ended).unwrap_or_default(), error)
}

/// The same tokens, but in the blocks only the statements that can be read.
fn mend_blocks(chunk: &TokenStream) -> (TokenStream, Option<Error>) {
    let mut mended = Vec::new();
    let mut errors = Vec::new();
    for token in chunk.clone() {
        let token = match token {
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Brace && !ends_with_macro_name(&mended) =>
            {
                let (read, block_error) = recover_block(&group);
                errors.extend(block_error);
                regroup(&group, read)
            }
            token => token,
        };
        mended.push(token);
    }
    (mended.into_iter().collect(), combined(errors))
}

fn recover_block(group: &Group) -> (TokenStream, Option<Error>) {
    if parse_group(group.clone()).is_ok() {
        return (group.stream(), None);
    }
    let (statements, error) = recover(group.stream());
    let mut tokens = TokenStream::new();
    for statement in statements {
        statement.to_tokens(&mut tokens);
    }
    (tokens, error)
}

/// Tokens cut after each `;`, and after each block that ends a statement.
fn chunks(tokens: TokenStream) -> Vec<TokenStream> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let is_end = match &token {
            TokenTree::Punct(mark) => mark.as_char() == ';',
            block if is_block(block) => match rest.peek() {
                Some(TokenTree::Ident(word)) => word != "else" && word != "finally",
                Some(TokenTree::Punct(mark)) => mark.as_char() == '#' || mark.as_char() == '\'',
                Some(_) => false,
                None => true,
            },
            _ => false,
        };
        chunk.push(token);
        if is_end {
            chunks.push(std::mem::take(&mut chunk).into_iter().collect());
        }
    }
    if !chunk.is_empty() {
        chunks.push(chunk.into_iter().collect());
    }
    chunks
}

/// Parses statements; where they break off at the end, the error is at the last token.
fn parse(tokens: TokenStream) -> Result<Vec<Stmt>> {
    let last = tokens.clone().into_iter().last();
    let mut block = Group::new(Delimiter::Brace, tokens);
    if let Some(last) = last {
        block.set_span(last.span());
    }
    parse_group(block)
}

fn parse_group(block: Group) -> Result<Vec<Stmt>> {
    let marked = regroup(&block, mark(block.stream()));
    let parser = |input: ParseStream<'_>| {
        let content;
        braced!(content in input);
        content.call(Block::parse_within)
    };
    parser.parse2(marked.into())
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    /// The statements that are left, and the errors.
    #[track_caller]
    fn check(body: &str, left: TokenStream, messages: &[&str]) {
        let (statements, error) = statements(body.parse().unwrap());
        assert_eq!(quote!(#(#statements)*).to_string(), left.to_string());
        let found: Vec<_> = (error.into_iter().flatten())
            .map(|error| error.to_string())
            .collect();
        assert_eq!(found, messages);
    }

    #[test]
    fn a_whole_body_is_read_as_it_is() {
        check("yield 1; yield 2", quote!(yield 1; yield 2), &[]);
        check("", quote!(), &[]);
    }

    #[test]
    fn a_statement_without_its_end_is_read_and_its_end_is_missed() {
        check("let x = one.two yield x;", quote!(), &["expected `;`"]);
        check(
            "yield 1; let x = one.two",
            quote!(yield 1; let x = one.two;),
            &["expected `;`"],
        );
    }

    const NO_EXPRESSION: &str = "expected an expression";
    const NO_NAME: &str = "unexpected end of input, expected identifier or integer";

    #[test]
    fn the_statements_around_one_that_cannot_be_read_are_left() {
        let left = quote!(yield 1; yield 2;);
        check(
            "yield 1; let x = ; yield 2;",
            left.clone(),
            &[NO_EXPRESSION],
        );
        check(
            "yield 1; one.; yield 2;",
            left,
            &["expected identifier or integer"],
        );
    }

    #[test]
    fn a_block_is_left_though_a_statement_in_it_is_not() {
        check(
            "let a = 1; if a == 1 { yield a; a. } else { yield 2; } yield 3;",
            quote!(let a = 1; if a == 1 { yield a; } else { yield 2; } yield 3;),
            &[NO_NAME],
        );
        check(
            "while true { for x in y { yield x; x. } yield 2; }",
            quote!(while true {
                for x in y {
                    yield x;
                }
                yield 2;
            }),
            &[NO_NAME],
        );
    }

    #[test]
    fn every_statement_that_cannot_be_read_has_its_error() {
        check(
            "let a = ; yield 2; let b = ; if c { d. } else { e. }",
            quote!(yield 2; if c { } else { }),
            &[NO_EXPRESSION, NO_EXPRESSION, NO_NAME, NO_NAME],
        );
    }
}
