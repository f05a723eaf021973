#include "kv/keys/parse.h"

#include <gtest/gtest.h>

#include <string>

#include "kv/keys/keys.h"
#include "tenant/tenant.h"

namespace insula::kv::keys {
namespace {

TEST(ParseKeys, WhatIsPrintedIsReadBack) {
  for (const std::string& key : {std::string(), KeyspacePrefix(7), KeyspacePrefix(7) + "ab\x01/\\c", Meta2Start(), Meta2Key(KeyspacePrefix(7)), Meta2Key(""), Meta1Key(SystemStart()),
                                 Meta1Key(Meta2Key(KeyspacePrefix(9) + "x")), SystemStart(), SystemKey(SystemTable::kTenant), RangeIdCounter(), SystemKey(SystemTable::kTenant, 7),
                                 GcTtlSetting(12), std::string("\x7f\xff")}) {
    EXPECT_EQ(ParsePretty(Pretty(key)), key) << Pretty(key);
  }
  EXPECT_EQ(ParsePretty("/Max"), "\xff");
  for (std::string_view wrong : {"", "Keyspace/7", "/Keyspace/x", "/Keyspace/", "/Keyspace/7/\\x0", "/a\\n", "/Systems", "/System/tt", "/Meta2Max"}) EXPECT_EQ(ParsePretty(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace insula::kv::keys
