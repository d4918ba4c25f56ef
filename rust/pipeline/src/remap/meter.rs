//! What a program may do with one record: steps, copies and nesting, all counted and never timed, so that the same
//! record is refused on every machine.
//!
//! Copies are counted where values are read from the record, written to it, or held by variables at a closure's turn.

use millstream_codec::Value;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;
use vrl::compiler::runtime::ExecutionControl;
use vrl::compiler::{Context, ExpressionError, SecretTarget, Target, TargetValue};
use vrl::parser::ast::Ident;
use vrl::path::OwnedTargetPath;

/// Steps a program may take on one record. A step is an expression of a closure's body or of the program, or the copy
/// of [`VALUES_A_STEP`] values.
const MAX_STEPS: u64 = 1_000_000;

/// Values whose copy counts as one step.
const VALUES_A_STEP: u64 = 8;

/// Bytes of a text that count as one more value.
const BYTES_A_VALUE: u64 = 64;

/// An array or an object counts as so many values beside its items: each is an allocation.
const CONTAINER: u64 = 4;

/// Deepest nesting of arrays and objects that a program may make. Copying and dropping a value recurse with it.
/// Twice what a record may have when it comes, so that wrapping one is no matter.
const MAX_DEPTH: usize = 256;

/// The secret that tells of too deep a variable: interruption itself carries no reason.
const TOO_DEEP: &str = "meter.too_deep";

/// Which bound was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Excess {
    #[error(
        "the program took more than {MAX_STEPS} steps on one record (copying {VALUES_A_STEP} values counts as one); loop over less, or copy less in a loop"
    )]
    Steps,
    #[error("the program nested arrays and objects more than {MAX_DEPTH} levels deep")]
    Depth,
}

/// The account of one run, shared by the record and the runtime's step counter.
#[derive(Debug)]
pub(super) struct Meter {
    left: Cell<u64>,
    excess: Cell<Option<Excess>>,
}

impl Meter {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            left: Cell::new(MAX_STEPS),
            excess: Cell::new(None),
        })
    }

    /// The bound that was passed, if one was.
    pub(super) fn excess(&self) -> Option<Excess> {
        self.excess.get()
    }

    fn spend(&self, steps: u64) {
        if let Some(left) = self.left.get().checked_sub(steps) {
            self.left.set(left);
        } else {
            self.left.set(0);
            self.excess.set(self.excess.get().or(Some(Excess::Steps)));
        }
    }

    /// Counts the copy of a value; false when it is too deep to be copied.
    fn copy(&self, value: &Value) -> bool {
        let mut weight = 0;
        let fits = add_weight(value, 0, &mut weight);
        if !fits {
            self.excess.set(Some(Excess::Depth));
        }
        self.spend(weight / VALUES_A_STEP);
        fits
    }
}

/// The runtime's side: asked before every expression.
pub(super) struct Steps(pub(super) Rc<Meter>);

impl ExecutionControl for Steps {
    fn checkpoint(&mut self) -> ControlFlow<()> {
        self.0.spend(1);
        match self.0.excess() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

/// The program's side: the record, with its reads and writes counted.
#[derive(Debug)]
pub(super) struct MeteredTarget {
    pub(super) inner: TargetValue,
    pub(super) meter: Rc<Meter>,
}

impl MeteredTarget {
    /// Which bound the program passed, wherever that was noticed.
    pub(super) fn excess(&self) -> Option<Excess> {
        match self.inner.get_secret(TOO_DEEP) {
            Some(_) => Some(Excess::Depth),
            None => self.meter.excess(),
        }
    }
}

impl Target for MeteredTarget {
    fn target_insert(&mut self, path: &OwnedTargetPath, value: Value) -> Result<(), String> {
        if !self.meter.copy(&value) {
            // The next expression interrupts the program, or the run's end tells.
            return Err(Excess::Depth.to_string());
        }
        self.inner.target_insert(path, value)
    }

    fn target_get(&self, path: &OwnedTargetPath) -> Result<Option<&Value>, String> {
        let found = self.inner.target_get(path)?;
        if let Some(value) = found
            && !self.meter.copy(value)
        {
            return Err(Excess::Depth.to_string());
        }
        Ok(found)
    }

    fn target_get_mut(&mut self, path: &OwnedTargetPath) -> Result<Option<&mut Value>, String> {
        self.inner.target_get_mut(path)
    }

    fn target_remove(
        &mut self,
        path: &OwnedTargetPath,
        compact: bool,
    ) -> Result<Option<Value>, String> {
        self.inner.target_remove(path, compact)
    }
}

impl SecretTarget for MeteredTarget {
    fn get_secret(&self, key: &str) -> Option<&str> {
        self.inner.get_secret(key)
    }

    fn insert_secret(&mut self, key: &str, value: &str) {
        self.inner.insert_secret(key, value);
    }

    fn remove_secret(&mut self, key: &str) {
        self.inner.remove_secret(key);
    }
}

/// Counts what a closure's turn may copy: all of the named variables. Interrupts the program when that is too much.
pub(super) fn weigh(ctx: &mut Context, names: &[Ident]) -> Result<(), ExpressionError> {
    let mut weight = 0;
    let state = ctx.state();
    let fits = names
        .iter()
        .filter_map(|name| state.variable(name))
        .all(|value| add_weight(value, 0, &mut weight));
    if !fits {
        ctx.target_mut().insert_secret(TOO_DEEP, "");
        return Err(ExpressionError::Interrupted);
    }
    // A closure reaches the meter through checkpoints alone.
    (0..weight / VALUES_A_STEP).try_for_each(|_| ctx.checkpoint())
}

/// Adds up the values within a value; false, and stopping there, when it is too deep. Stops counting beyond any budget.
fn add_weight(value: &Value, depth: usize, weight: &mut u64) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    *weight += 1;
    if *weight > VALUES_A_STEP * (MAX_STEPS + 1) {
        return true;
    }
    match value {
        Value::Bytes(bytes) => *weight += bytes.len() as u64 / BYTES_A_VALUE,
        Value::String(text) => *weight += text.len() as u64 / BYTES_A_VALUE,
        Value::Array(items) => {
            *weight += CONTAINER;
            return items.iter().all(|item| add_weight(item, depth + 1, weight));
        }
        Value::Object(fields) => {
            *weight += CONTAINER;
            return fields.iter().all(|(name, item)| {
                *weight += name.len() as u64 / BYTES_A_VALUE;
                add_weight(item, depth + 1, weight)
            });
        }
        _ => {}
    }
    true
}
