"""libFuzzer targets: to be run for as long as one likes, and for a fixed while with the tests."""

def fuzz_target(name, srcs, deps, runs, max_len = 4096):
    """NAMEer looks for new paths, with AddressSanitizer: `bazel run :NAMEer -- -max_total_time=60`. NAME_test does `runs` inputs, always the same.

    Args:
      name: ends in "_fuzz".
      srcs: define LLVMFuzzerTestOneInput.
      deps: as of a library.
      runs: inputs of the test.
      max_len: of an input, in bytes.
    """
    native.cc_binary(
        name = name + "er",
        testonly = True,
        srcs = srcs,
        copts = ["-fsanitize=fuzzer,address"],
        linkopts = ["-fsanitize=fuzzer,address"],
        tags = ["manual"],
        deps = deps,
    )
    native.cc_test(
        name = name + "_test",
        size = "small",
        srcs = srcs,
        args = ["-runs=%d" % runs, "-seed=1", "-len_control=0", "-max_len=%d" % max_len, "-verbosity=0"],
        copts = ["-fsanitize=fuzzer"],
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["no_tsan"],
        deps = deps,
    )
