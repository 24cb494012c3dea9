//! What a component finds outside itself: the log, and for those whose toolchain cannot do without WASI an empty
//! sandbox. There is no file, no argument, no variable, no network in it; its clocks stand still, its random numbers
//! are always the same, and nothing in it waits (I5).

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, async_trait};

use super::bindings::log;
use super::engine::engine_error;
use super::error::MapperError;
use super::limits::{Deadline, HANDLES, Limiter};
use super::log::Log;

/// Random bytes that a component may ask for at once.
const RANDOM_BYTES: u64 = 64 << 10;
/// Any number does, as long as it stays.
const SEED: u64 = 0x6772_6973_746d_696c;

/// The host's side of one instance.
pub(super) struct Inside {
    pub(super) log: Log,
    pub(super) limiter: Limiter,
    pub(super) deadline: Deadline,
    /// Made when the component first reaches for it.
    sandbox: Option<Box<Sandbox>>,
}

struct Sandbox {
    context: WasiCtx,
    resources: ResourceTable,
    random: u64,
}

impl Inside {
    pub(super) fn new(log: Log, limiter: Limiter, deadline: Deadline) -> Self {
        Self { log, limiter, deadline, sandbox: None }
    }

    fn sandbox(&mut self) -> &mut Sandbox {
        self.sandbox.get_or_insert_with(|| {
            let context = WasiCtx::builder().allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false).build();
            let mut resources = ResourceTable::new();
            resources.set_max_capacity(HANDLES);
            Box::new(Sandbox { context, resources, random: SEED })
        })
    }

    /// The next of a fixed sequence (SplitMix64).
    fn next_random(&mut self) -> u64 {
        let state = &mut self.sandbox().random;
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        let length = usize::try_from(length.min(RANDOM_BYTES + 1))?;
        if length as u64 > RANDOM_BYTES {
            return Err(wasmtime::Error::msg("too many random bytes at once"));
        }
        let words = std::iter::repeat_with(|| self.next_random().to_le_bytes());
        Ok(words.flatten().take(length).collect())
    }
}

/// What components are linked with.
pub(super) struct Linkers {
    /// The contract's imports alone.
    pub(super) plain: Linker<Inside>,
    /// With the empty sandbox.
    pub(super) sandbox: Linker<Inside>,
}

impl Linkers {
    pub(super) fn new(engine: &Engine) -> Result<Self, MapperError> {
        let link = || {
            let mut plain = Linker::new(engine);
            log::add_to_linker::<Inside, HasSelf<Log>>(&mut plain, |inside| &mut inside.log)?;
            let mut sandbox = plain.clone();
            wasmtime_wasi::p2::add_to_linker_sync(&mut sandbox)?;
            sandbox.allow_shadowing(true);
            wall_clock::add_to_linker::<Inside, HasSelf<Inside>>(&mut sandbox, |inside| inside)?;
            monotonic_clock::add_to_linker::<Inside, HasSelf<Inside>>(&mut sandbox, |inside| inside)?;
            random::add_to_linker::<Inside, HasSelf<Inside>>(&mut sandbox, |inside| inside)?;
            insecure::add_to_linker::<Inside, HasSelf<Inside>>(&mut sandbox, |inside| inside)?;
            insecure_seed::add_to_linker::<Inside, HasSelf<Inside>>(&mut sandbox, |inside| inside)?;
            Ok(Self { plain, sandbox })
        };
        link().map_err(|error| engine_error("link the mapper's imports", error))
    }
}

impl WasiView for Inside {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Sandbox { context, resources, .. } = self.sandbox();
        WasiCtxView { ctx: context, table: resources }
    }
}

impl wall_clock::Host for Inside {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 0 })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 1, nanoseconds: 0 })
    }
}

impl monotonic_clock::Host for Inside {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000_000_000)
    }

    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_duration(0)
    }

    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let resources = &mut self.sandbox().resources;
        let passed = resources.push(Passed)?;
        subscribe(resources, passed)
    }
}

/// A moment that has come: where clocks stand still, all have.
struct Passed;

#[async_trait]
impl Pollable for Passed {
    async fn ready(&mut self) {}
}

impl random::Host for Inside {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next_random())
    }
}

impl insecure::Host for Inside {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next_random())
    }
}

impl insecure_seed::Host for Inside {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((SEED, SEED))
    }
}
