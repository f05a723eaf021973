#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/async/testing/test_loop.h"
#include "base/pgerror/pg_error.h"
#include "base/pgwire/backend.h"
#include "base/pgwire/frame.h"
#include "base/pgwire/frontend.h"
#include "base/pgwire/startup.h"
#include "base/pgwire/testing/memory_network.h"
#include "base/pgwire/wire.h"
#include "base/runtime/random.h"
#include "gtest/gtest.h"

namespace insula::pgwire {
namespace {

// The body of a message that a builder made; checks type and length.
std::string_view Body(const std::string& message, char type) {
  EXPECT_GE(message.size(), 5u);
  EXPECT_EQ(message[0], type);
  EXPECT_EQ(GetInt32(message.data() + 1) + 1, message.size());
  return std::string_view(message).substr(5);
}

TEST(Startup, MessageRoundTrip) {
  StartupMessage m;
  m.parameters = {{"user", "app"}, {"database", "d"}, {"options", "-c a=b"}, {"_pq_.x", "1"}};
  std::string bytes;
  AppendStartupMessage(m, &bytes);
  EXPECT_EQ(GetInt32(bytes.data()), bytes.size());
  auto parsed = ParseStartupPacket(std::string_view(bytes).substr(4));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto& back = std::get<StartupMessage>(*parsed);
  EXPECT_EQ(back.parameters, m.parameters);
  EXPECT_EQ(back.minor, 0);
  EXPECT_EQ(back.Find("user"), "app");
  EXPECT_EQ(back.Find("absent"), std::nullopt);
  EXPECT_EQ(back.ProtocolOptions(), std::vector<std::string>{"_pq_.x"});
}

TEST(Startup, Requests) {
  std::string ssl, gss, cancel;
  AppendSslRequest(&ssl);
  AppendGssEncRequest(&gss);
  AppendCancelRequest({7, "abcd"}, &cancel);
  EXPECT_TRUE(std::holds_alternative<SslRequest>(*ParseStartupPacket(ssl.substr(4))));
  EXPECT_TRUE(std::holds_alternative<GssEncRequest>(*ParseStartupPacket(gss.substr(4))));
  auto parsed = ParseStartupPacket(cancel.substr(4));
  EXPECT_EQ(std::get<CancelRequest>(*parsed).process_id, 7u);
  EXPECT_EQ(std::get<CancelRequest>(*parsed).secret, "abcd");
  EXPECT_FALSE(ParseStartupPacket(cancel.substr(4, cancel.size() - 5)).ok());
  EXPECT_FALSE(ParseStartupPacket("").ok());
  EXPECT_FALSE(ParseStartupPacket(std::string("\0\3\0\0user", 8)).ok());
  // Protocol 2.
  EXPECT_EQ(ToPgError(ParseStartupPacket(std::string("\0\2\0\0\0", 5)).status()).sqlstate, "0A000");
}

TEST(Startup, SplitOptions) {
  using V = std::vector<std::string>;
  EXPECT_EQ(SplitOptions("  -c a=b   --x=y\t-cq=1 "), (V{"-c", "a=b", "--x=y", "-cq=1"}));
  EXPECT_EQ(SplitOptions(R"(-c a=b\ c -c d=\\e)"), (V{"-c", "a=b c", "-c", "d=\\e"}));
  EXPECT_EQ(SplitOptions(""), V{});
  EXPECT_EQ(SplitOptions("a\\"), V{"a"});
  V words = {"-c", "search_path=a b\\c", "--x=y"};
  EXPECT_EQ(SplitOptions(JoinOptions(words)), words);
}

TEST(Startup, SettingsFromOptions) {
  auto s = SettingsFromOptions({"-c", "a=b", "-cc=d=e", "--work-mem=1"});
  ASSERT_TRUE(s.ok());
  std::vector<std::pair<std::string, std::string>> expected = {{"a", "b"}, {"c", "d=e"}, {"work_mem", "1"}};
  EXPECT_EQ(*s, expected);
  EXPECT_EQ(ToPgError(SettingsFromOptions({"-c", "a"}).status()).message, "-c a requires a value");
  EXPECT_EQ(ToPgError(SettingsFromOptions({"--a"}).status()).message, "--a requires a value");
  EXPECT_EQ(ToPgError(SettingsFromOptions({"-z"}).status()).sqlstate, "42601");
}

TEST(Frontend, RoundTrips) {
  std::string out;
  AppendParse({"s", "select $1", {23, 0}}, &out);
  auto parse = DecodeParse(Body(out, 'P'));
  ASSERT_TRUE(parse.ok());
  EXPECT_EQ(parse->name, "s");
  EXPECT_EQ(parse->query, "select $1");
  EXPECT_EQ(parse->parameter_types, (std::vector<uint32_t>{23, 0}));

  out.clear();
  AppendBind({"p", "s", {1}, {"\1\2", std::nullopt, ""}, {0, 1}}, &out);
  auto bind = DecodeBind(Body(out, 'B'));
  ASSERT_TRUE(bind.ok());
  EXPECT_EQ(bind->portal, "p");
  EXPECT_EQ(bind->parameters.size(), 3u);
  EXPECT_EQ(bind->parameters[0], "\1\2");
  EXPECT_FALSE(bind->parameters[1].has_value());
  EXPECT_EQ(bind->parameters[2], "");
  EXPECT_EQ(bind->result_formats, (std::vector<int16_t>{0, 1}));

  out.clear();
  AppendExecute({"p", 5}, &out);
  EXPECT_EQ(DecodeExecute(Body(out, 'E'))->max_rows, 5);
  out.clear();
  AppendDescribe({'P', "p"}, &out);
  EXPECT_EQ(DecodeTarget(Body(out, 'D'))->kind, 'P');
  EXPECT_FALSE(DecodeTarget(std::string_view("Xp\0", 3)).ok());
  out.clear();
  AppendSaslInitial({"SCRAM-SHA-256", "n,,"}, &out);
  EXPECT_EQ(DecodeSaslInitial(Body(out, 'p'))->data, "n,,");
  out.clear();
  AppendQuery("select 1", &out);
  EXPECT_EQ(*DecodeQuery(Body(out, 'Q')), "select 1");
}

TEST(Backend, RoundTrips) {
  std::string out;
  AppendRowDescription({{"a", 1, 2, 23, 4, -1, 0}, {"b", 0, 0, 25, -1, 7, 1}}, &out);
  auto fields = DecodeRowDescription(Body(out, 'T'));
  ASSERT_TRUE(fields.ok());
  EXPECT_EQ((*fields)[1].name, "b");
  EXPECT_EQ((*fields)[1].type_modifier, 7);
  out.clear();
  AppendDataRow({"1", std::nullopt}, &out);
  auto row = DecodeDataRow(Body(out, 'D'));
  ASSERT_TRUE(row.ok());
  EXPECT_EQ((*row)[0], "1");
  EXPECT_FALSE((*row)[1].has_value());
  out.clear();
  AppendReadyForQuery(TransactionStatus::kFailed, &out);
  EXPECT_EQ(*DecodeReadyForQuery(Body(out, 'Z')), TransactionStatus::kFailed);
  out.clear();
  AppendAuthenticationSasl({"SCRAM-SHA-256"}, &out);
  EXPECT_EQ(DecodeAuthentication(Body(out, 'R'))->mechanisms.at(0), "SCRAM-SHA-256");
}

TEST(Backend, ErrorKeepsAllFields) {
  PgErrorFields f;
  f.severity = "FATAL";
  f.sqlstate = "23505";
  f.message = "m";
  f.detail = "d";
  f.hint = "h";
  f.position = 12;
  f.schema = "s";
  f.table = "t";
  f.column = "c";
  f.constraint = "k";
  std::string out;
  AppendError(f, &out);
  auto back = DecodeError(Body(out, 'E'));
  ASSERT_TRUE(back.ok());
  PgErrorFields g = ToPgError(ErrorToStatus(*back));
  EXPECT_EQ(g.severity, "FATAL");
  EXPECT_EQ(g.sqlstate, "23505");
  EXPECT_EQ(g.position, 12);
  EXPECT_EQ(g.table, "t");
  EXPECT_EQ(g.constraint, "k");
  EXPECT_NE(out.find("VFATAL"), std::string::npos);
}

// Hostile bytes: no decoder may crash or accept a count that its payload does not hold.
TEST(Hostile, RandomAndTruncatedPayloads) {
  SeededRandom random(1);
  auto decode_all = [](std::string_view p) {
    (void)DecodeQuery(p);
    (void)DecodeParse(p);
    (void)DecodeBind(p);
    (void)DecodeTarget(p);
    (void)DecodeExecute(p);
    (void)DecodeFunctionCall(p);
    (void)DecodeSaslInitial(p);
    (void)DecodeAuthentication(p);
    (void)DecodeBackendKeyData(p);
    (void)DecodeParameterStatus(p);
    (void)DecodeReadyForQuery(p);
    (void)DecodeRowDescription(p);
    (void)DecodeParameterDescription(p);
    (void)DecodeDataRow(p);
    (void)DecodeCommandComplete(p);
    (void)DecodeCopyResponse(p);
    (void)DecodeNotification(p);
    (void)DecodeError(p);
    (void)ParseStartupPacket(p);
  };
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = random.Bytes(random.Uniform(40));
    // Small numbers and zeros get further than uniform noise.
    for (char& c : bytes) {
      if (random.Chance(0.6)) c = static_cast<char>(random.Uniform(3));
    }
    decode_all(bytes);
  }
  std::string good;
  AppendBind({"portal", "statement", {0, 1}, {"one", "two"}, {1}}, &good);
  std::string_view body = std::string_view(good).substr(5);
  ASSERT_TRUE(DecodeBind(body).ok());
  for (size_t n = 0; n < body.size(); ++n) EXPECT_FALSE(DecodeBind(body.substr(0, n)).ok()) << n;
  EXPECT_FALSE(DecodeBind(std::string(body) + "x").ok());
}

struct ReaderTest : ::testing::Test {
  ReaderTest() { std::tie(near, far) = MemoryStream::Pair(); }
  absl::Status Send(std::string_view bytes) { return loop.Run(far->Write(ctx, bytes)); }
  TestLoop loop;
  Context ctx = loop.ctx();
  std::unique_ptr<ByteStream> near, far;
};

TEST_F(ReaderTest, FramesAcrossReads) {
  FrameReader reader(near.get());
  std::string out;
  AppendQuery(std::string(20000, 'x'), &out);
  AppendSync(&out);
  ASSERT_TRUE(Send(std::string_view(out).substr(0, 3)).ok());
  EXPECT_FALSE(reader.TryNext()->has_value());
  ASSERT_TRUE(Send(std::string_view(out).substr(3)).ok());
  auto first = loop.Run(reader.Next(ctx));
  ASSERT_TRUE(first.ok() && first->has_value()) << first.status();
  EXPECT_EQ((*first)->type, 'Q');
  EXPECT_EQ((*first)->payload.size(), 20001u);
  auto second = loop.Run(reader.Next(ctx));
  ASSERT_TRUE(second.ok() && second->has_value());
  EXPECT_EQ((*second)->type, 'S');
  far->Close();
  auto end = loop.Run(reader.Next(ctx));
  EXPECT_TRUE(end.ok());
  EXPECT_FALSE(end->has_value());
}

TEST_F(ReaderTest, RefusesImpossibleFrames) {
  struct Case {
    std::string bytes;
    const char* why;
  };
  for (const Case& c : {Case{std::string("Q\0\0\0\3", 5), "length below 4"}, Case{std::string("S\x7f\xff\xff\xff", 5), "huge small message"},
                        Case{std::string("\x16\3\1\0\0", 5), "not a message type"}, Case{std::string("Q\xff\xff\xff\xff", 5), "4 GB"}}) {
    auto [a, b] = MemoryStream::Pair();
    ASSERT_TRUE(loop.Run(b->Write(ctx, c.bytes)).ok());
    FrameReader reader(a.get());
    auto frame = loop.Run(reader.Next(ctx));
    EXPECT_EQ(ToPgError(frame.status()).sqlstate, "08P01") << c.why;
  }
}

TEST_F(ReaderTest, StartupIsBounded) {
  FrameReader reader(near.get());
  ASSERT_TRUE(Send(std::string("\0\0\x40\0", 4)).ok());
  EXPECT_EQ(ToPgError(loop.Run(reader.NextStartup(ctx)).status()).sqlstate, "08P01");
}

TEST_F(ReaderTest, EndBeforeStartupIsAProbe) {
  FrameReader reader(near.get());
  far->Close();
  auto packet = loop.Run(reader.NextStartup(ctx));
  ASSERT_TRUE(packet.ok());
  EXPECT_FALSE(packet->has_value());
}

TEST_F(ReaderTest, KeepsWhatFollows) {
  FrameReader reader(near.get());
  std::string out;
  AppendSslRequest(&out);
  ASSERT_TRUE(Send(out + "hello").ok());
  ASSERT_TRUE(loop.Run(reader.NextStartup(ctx))->has_value());
  EXPECT_EQ(reader.TakeBuffered(), "hello");
  EXPECT_EQ(reader.buffered(), "");
}

}  // namespace
}  // namespace insula::pgwire
