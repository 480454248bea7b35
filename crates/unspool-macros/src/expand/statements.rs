//! A `yield` whose value goes nowhere, though no `;` says so: at the end of a body, of a
//! loop, or of a branch that is a statement.
//!
//! With the `;` added it does not count as one whose value is used, so that the type of
//! the generator does not depend on it.

use syn::visit_mut::{self, VisitMut};
use syn::{Arm, Block, Expr, Item, Stmt, Token, parse_quote};

use crate::parse;

/// Ends every `yield` that is a statement with a `;`.
pub(super) fn end(statements: &mut [Stmt]) {
    Statements.end_all(statements, true);
}

struct Statements;

impl Statements {
    /// Whether the value of the last statement goes nowhere, the caller knows.
    fn end_all(&mut self, statements: &mut [Stmt], is_last_dropped: bool) {
        let count = statements.len();
        for (index, statement) in statements.iter_mut().enumerate() {
            visit_mut::visit_stmt_mut(self, statement);
            if index + 1 < count || is_last_dropped {
                end_statement(statement);
            }
        }
    }
}

impl VisitMut for Statements {
    fn visit_block_mut(&mut self, block: &mut Block) {
        self.end_all(&mut block.stmts, false);
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Closure(_) | Expr::Async(_) => return,
            _ => visit_mut::visit_expr_mut(self, expression),
        }
        match expression {
            Expr::ForLoop(inner) => end_block(&mut inner.body),
            Expr::While(inner) => end_block(&mut inner.body),
            Expr::Loop(inner) => end_block(&mut inner.body),
            Expr::Match(inner) => {
                if let Some((_, last)) = parse::try_finally(inner) {
                    end_branches(last);
                }
            }
            _ => {}
        }
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}
}

fn end_block(block: &mut Block) {
    if let Some(last) = block.stmts.last_mut() {
        end_statement(last);
    }
}

fn end_statement(statement: &mut Stmt) {
    if let Stmt::Expr(expression, end @ None) = statement {
        if is_plain_yield(expression) {
            *end = Some(<Token![;]>::default());
        } else {
            end_branches(expression);
        }
    }
}

/// Ends what stands at the ends of an expression whose value goes nowhere.
fn end_branches(expression: &mut Expr) {
    match expression {
        Expr::Block(inner) => end_block(&mut inner.block),
        Expr::Unsafe(inner) => end_block(&mut inner.block),
        Expr::If(inner) => {
            end_block(&mut inner.then_branch);
            if let Some((_, otherwise)) = &mut inner.else_branch {
                end_branches(otherwise);
            }
        }
        Expr::Match(inner) => inner.arms.iter_mut().for_each(end_arm),
        _ => {}
    }
}

fn end_arm(arm: &mut Arm) {
    let body = &mut *arm.body;
    if is_plain_yield(body) {
        *body = parse_quote!({ #body; });
    } else {
        end_branches(body);
    }
}

/// Not `yield in`, whose value is what the other generator returns.
fn is_plain_yield(expression: &mut Expr) -> bool {
    match expression {
        Expr::Yield(inner) => parse::delegated(inner).is_none(),
        _ => false,
    }
}
