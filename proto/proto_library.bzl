"""C++ classes for one .proto file, by the packaged protoc."""

def insula_proto(name, src, deps = []):
    """A cc_library `name` with the generated `<src>.pb.h` under its path from the root.

    Args:
      name: of the library
      src: the .proto file, in this package
      deps: insula_proto libraries that it imports
    """
    base = src[:-len(".proto")]
    package = native.package_name()
    native.filegroup(
        name = name + "_proto",
        srcs = [src] + [d + "_proto" for d in deps],
        visibility = ["//proto:__subpackages__"],
    )
    native.genrule(
        name = name + "_gen",
        srcs = [":" + name + "_proto"],
        outs = [base + ".pb.h", base + ".pb.cc"],
        cmd = "protoc -I. --cpp_out=$(GENDIR) %s/%s" % (package, src),
    )
    native.cc_library(
        name = name,
        srcs = [base + ".pb.cc"],
        hdrs = [base + ".pb.h"],
        copts = ["-Wno-all", "-Wno-extra"],
        visibility = ["//:everybody"],
        deps = deps + ["//third_party:protobuf"],
    )
