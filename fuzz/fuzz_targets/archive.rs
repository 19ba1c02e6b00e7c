#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| karman_fuzz::unpacking::archive(data));
