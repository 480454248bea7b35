//! Where an item lies between a `yield` and the end of the poll, and the tag that says
//! where the body stands.

use core::cell::{Cell, UnsafeCell};
use core::mem::{ManuallyDrop, MaybeUninit};

use crate::port::Way;

/// Where an item lies between the `yield` and the end of the poll, and what goes
/// the other way.
pub(super) struct Slot<Y, P: Way> {
    pub(super) load: UnsafeCell<Load<Y, P::Value>>,
    pub(super) stand: P::Stand,
    pub(super) guard: P::Guard,
    pub(super) port: P,
}

/// An item on its way out, or a value on its way in: never both.
#[repr(C)]
pub(super) union Load<Y, V> {
    pub(super) item: ManuallyDrop<Y>,
    pub(super) value: ManuallyDrop<V>,
    empty: (),
}

// SAFETY: a `&Slot` is of no use to a thread that has no `Pin<&mut Generator>`
// (fact 5).
unsafe impl<Y, P: Way> Sync for Slot<Y, P> {}
impl<Y, P: Way> Slot<Y, P> {
    /// An empty one, of a body that has not begun.
    pub(super) fn new(port: P) -> Self {
        Slot {
            load: UnsafeCell::new(Load { empty: () }),
            stand: P::Stand::new(),
            guard: P::Guard::default(),
            port,
        }
    }

    /// Whether the compiler is led to make a result of tag and item without a branch:
    /// where both go into registers.
    pub(super) const IS_BRANCHLESS: bool = !P::IS_TWO_WAY && size_of::<Y>() <= 8;

    /// Lays an item down.
    ///
    /// # Safety
    ///
    /// To be called by the body while it is polled (facts 2 and 5).
    #[inline(always)]
    pub(super) unsafe fn put(&self, item: Y) {
        // SAFETY: nobody else reaches the slot meanwhile, and by fact 3 there is
        // nothing in it that needs a drop.
        unsafe { (*self.load.get()).item = ManuallyDrop::new(item) };
        self.stand.arrive();
    }

    /// Takes the item, if the body has just yielded one.
    ///
    /// # Safety
    ///
    /// Nobody else may reach the slot meanwhile, and an item may be taken only once.
    #[inline(always)]
    pub(super) unsafe fn take(&self) -> Option<Y> {
        if !Self::IS_BRANCHLESS {
            let is_at_yield = self.stand.is_at_yield();
            if !P::IS_TWO_WAY {
                self.stand.leave();
            }
            // SAFETY: there is one (fact 3).
            return is_at_yield.then(|| unsafe { self.take_item() });
        }
        // Before the tag is reset, and so whatever that says.
        //
        // SAFETY: it may be anything.
        let item = unsafe { self.load.get().cast::<MaybeUninit<Y>>().read() };
        // SAFETY: a body into which nothing goes knows no other tags (fact 3).
        let bit = unsafe { self.stand.bit() };
        self.stand.leave();
        match bit {
            // SAFETY: there is one (fact 3).
            Bit::Yes => Some(unsafe { item.assume_init() }),
            Bit::No => None,
        }
    }

    /// Takes the item.
    ///
    /// # Safety
    ///
    /// There must be one (fact 3), and nobody else may reach the slot meanwhile.
    #[inline(always)]
    pub(super) unsafe fn take_item(&self) -> Y {
        // SAFETY: so says the caller.
        unsafe { ManuallyDrop::take(&mut (*self.load.get()).item) }
    }

    /// Takes the value.
    ///
    /// # Safety
    ///
    /// As for [`take_item`](Slot::take_item).
    #[inline(always)]
    pub(super) unsafe fn take_value(&self) -> P::Value {
        // SAFETY: so says the caller.
        unsafe { ManuallyDrop::take(&mut (*self.load.get()).value) }
    }
}

/// Where the body stands, what there is of it, and what there is in the slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// In a wait, or being polled.
    Running = 0,
    /// At a `yield`.
    AtYield = 1,
    /// Told to close, at a `yield`.
    Close,
    /// Done with all that it has to do before it is dropped.
    Done,
    /// Broken: another generator panicked that this one was yielding from.
    Panicked,
    /// Before its start.
    Unstarted,
    /// After its end, with its output.
    Ended,
    /// After its end, with its output, and with its last item in the slot.
    EndedWithItem,
    /// After its end.
    Empty,
}

/// How a slot keeps its tag.
pub trait Stand {
    /// For a body that has not begun.
    fn new() -> Self;
    fn get(&self) -> Tag;
    fn set(&self, tag: Tag);
    /// From `Running` to `AtYield`.
    fn arrive(&self);
    /// From `AtYield` to `Running`.
    fn leave(&self);
    /// Whether it is `Running`, where it is not `AtYield`.
    fn is_running(&self) -> bool;
    fn is_at_yield(&self) -> bool;

    /// Whether it is `AtYield`.
    ///
    /// # Safety
    ///
    /// It must be that or `Running`.
    unsafe fn bit(&self) -> Bit;
}

/// The two tags that a body sets into which nothing goes, as numbers that the compiler
/// can compute with.
#[derive(Clone, Copy)]
#[repr(u64)]
pub enum Bit {
    No = Tag::Running as u64,
    Yes = Tag::AtYield as u64,
}

/// Where nothing goes in: a whole word, as wide as the part of a small result that
/// says what it is.
pub struct Wide(Cell<u64>);

/// Where values go in: a byte, and a flag of its own for what is asked twice a step.
/// There is room in the word for what a port has on top of values.
pub struct Narrow {
    tag: Cell<Tag>,
    is_at_yield: Cell<bool>,
}

impl Stand for Wide {
    #[inline(always)]
    fn new() -> Self {
        Wide(Cell::new(Tag::Unstarted as u64))
    }

    #[inline(always)]
    fn get(&self) -> Tag {
        // A power of two, so that no index is out of bounds.
        const TAGS: [Tag; 16] = {
            let mut tags = [Tag::Empty; 16];
            tags[Tag::Running as usize] = Tag::Running;
            tags[Tag::AtYield as usize] = Tag::AtYield;
            tags[Tag::Close as usize] = Tag::Close;
            tags[Tag::Done as usize] = Tag::Done;
            tags[Tag::Panicked as usize] = Tag::Panicked;
            tags[Tag::Unstarted as usize] = Tag::Unstarted;
            tags[Tag::Ended as usize] = Tag::Ended;
            tags[Tag::EndedWithItem as usize] = Tag::EndedWithItem;
            tags
        };
        TAGS[self.0.get() as usize & 15]
    }

    #[inline(always)]
    fn set(&self, tag: Tag) {
        self.0.set(tag as u64);
    }

    #[inline(always)]
    fn arrive(&self) {
        self.set(Tag::AtYield);
    }

    #[inline(always)]
    fn leave(&self) {
        self.set(Tag::Running);
    }

    #[inline(always)]
    fn is_running(&self) -> bool {
        self.0.get() == Tag::Running as u64
    }

    #[inline(always)]
    fn is_at_yield(&self) -> bool {
        self.0.get() == Tag::AtYield as u64
    }

    #[inline(always)]
    unsafe fn bit(&self) -> Bit {
        // SAFETY: so says the caller.
        unsafe { self.0.as_ptr().cast::<Bit>().read() }
    }
}

impl Stand for Narrow {
    #[inline(always)]
    fn new() -> Self {
        Narrow {
            tag: Cell::new(Tag::Unstarted),
            is_at_yield: Cell::new(false),
        }
    }

    #[inline(always)]
    fn get(&self) -> Tag {
        if self.is_at_yield.get() {
            Tag::AtYield
        } else {
            self.tag.get()
        }
    }

    #[inline(always)]
    fn set(&self, tag: Tag) {
        self.is_at_yield.set(false);
        self.tag.set(tag);
    }

    #[inline(always)]
    fn arrive(&self) {
        self.is_at_yield.set(true);
    }

    #[inline(always)]
    fn leave(&self) {
        self.is_at_yield.set(false);
    }

    #[inline(always)]
    fn is_running(&self) -> bool {
        self.tag.get() == Tag::Running
    }

    #[inline(always)]
    fn is_at_yield(&self) -> bool {
        self.is_at_yield.get()
    }

    unsafe fn bit(&self) -> Bit {
        if self.is_at_yield() {
            Bit::Yes
        } else {
            Bit::No
        }
    }
}
