//! What a body uses, and so which kind of generator it becomes.

use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprYield, Item, Macro, Stmt};

use super::passes_by;
use crate::{parse, tokens};

/// What a body needs beyond a way out for its items.
#[derive(Default)]
pub(super) struct Needs {
    /// It uses what a `yield` gives.
    pub(super) value: bool,
    /// It has a `try … finally`.
    pub(super) finally: bool,
    /// It has a `yield in`.
    pub(super) delegates: bool,
}

impl Needs {
    pub(super) fn of(statements: &mut [Stmt]) -> Self {
        let mut needs = Needs::default();
        for statement in statements {
            needs.visit_stmt_mut(statement);
        }
        needs
    }

    /// What is in the arguments of a macro, which is nothing but tokens.
    fn visit_arguments(&mut self, invocation: &Macro, is_statement: bool) {
        if passes_by(invocation) {
            return;
        }
        let arguments = || invocation.tokens.clone();
        let delegates = tokens::has_words(arguments(), "yield", "in");
        self.delegates |= delegates;
        self.finally |= tokens::has_words(arguments(), "try", "finally");
        self.value |= delegates || tokens::uses_value(arguments(), is_statement);
    }

    fn visit_yield(&mut self, expression: &mut ExprYield, is_used: bool) {
        let delegates = parse::delegated(expression).is_some();
        self.delegates |= delegates;
        // What is sent goes on to the other generator.
        self.value |= is_used || delegates;
        visit_mut::visit_expr_yield_mut(self, expression);
    }
}

impl VisitMut for Needs {
    fn visit_stmt_mut(&mut self, statement: &mut Stmt) {
        match statement {
            Stmt::Expr(Expr::Yield(inner), Some(_)) => {
                self.visit_yield(inner, false);
            }
            Stmt::Macro(inner) => self.visit_arguments(&inner.mac, true),
            _ => visit_mut::visit_stmt_mut(self, statement),
        }
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Yield(inner) => return self.visit_yield(inner, true),
            Expr::Match(inner) => self.finally |= parse::try_finally(inner).is_some(),
            Expr::Closure(_) | Expr::Async(_) => return,
            _ => {}
        }
        visit_mut::visit_expr_mut(self, expression);
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}

    fn visit_macro_mut(&mut self, invocation: &mut Macro) {
        self.visit_arguments(invocation, false);
    }
}

/// Whether the body itself uses `?`.
pub(super) fn asks(statements: &mut [syn::Stmt]) -> bool {
    struct Asks(bool);

    impl VisitMut for Asks {
        fn visit_expr_mut(&mut self, expression: &mut Expr) {
            match expression {
                Expr::Try(_) => self.0 = true,
                Expr::Closure(_) | Expr::Async(_) => {}
                _ => visit_mut::visit_expr_mut(self, expression),
            }
        }

        fn visit_item_mut(&mut self, _: &mut Item) {}
    }

    let mut asks = Asks(false);
    for statement in statements {
        asks.visit_stmt_mut(statement);
    }
    asks.0
}
