#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| unspool::internals::check_blocks(data));
