#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| karman_fuzz::unpacking::image_documents(data));
