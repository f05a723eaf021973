#include "base/pgwire/auth.h"

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/async/task_group.h"
#include "base/async/testing/test_loop.h"
#include "base/pgerror/pg_error.h"
#include "base/pgwire/backend.h"
#include "base/pgwire/client.h"
#include "base/pgwire/frame.h"
#include "base/pgwire/frontend.h"
#include "base/pgwire/scram.h"
#include "base/pgwire/testing/memory_network.h"
#include "base/runtime/random.h"
#include "gtest/gtest.h"

namespace insula::pgwire {
namespace {

// The example of RFC 7677, section 3.
TEST(Scram, Rfc7677) {
  ScramClient client("pencil", "rOprNGfwEbeRWgbNEkqO");
  // The RFC's client names its user; ours leaves that to the startup message, so the server side takes the RFC's text.
  std::string salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
  ScramVerifier verifier = MakeScramVerifier("pencil", std::string("\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81", 16));
  ScramServer server(verifier, true, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
  auto first = server.First("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*first, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=" + salt + ",i=4096");
  auto final_message = server.Final(
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  ASSERT_TRUE(final_message.ok()) << final_message.status();
  EXPECT_EQ(*final_message, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(Scram, VerifierRoundTrip) {
  ScramVerifier v = MakeScramVerifier("secret", "0123456789abcdef");
  auto parsed = ScramVerifier::Parse(v.ToString());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->ToString(), v.ToString());
  EXPECT_TRUE(VerifyPassword("secret", *parsed));
  EXPECT_FALSE(VerifyPassword("Secret", *parsed));
  for (const char* bad : {"", "md5abc", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:YQ==$YQ==:YQ==", "SCRAM-SHA-256$4096:YQ==$YQ==:YQ==",
                          "SCRAM-SHA-256$4096$:YQ=="}) {
    EXPECT_FALSE(ScramVerifier::Parse(bad).ok()) << bad;
  }
}

TEST(Scram, MockLooksTheSameEachTime) {
  EXPECT_EQ(MockScramVerifier("nobody", "k").salt, MockScramVerifier("nobody", "k").salt);
  EXPECT_NE(MockScramVerifier("nobody", "k").salt, MockScramVerifier("noone", "k").salt);
  EXPECT_EQ(MockScramVerifier("nobody", "k").salt.size(), kScramSaltBytes);
}

TEST(Scram, ServerRefusesMalformed) {
  ScramVerifier v = MakeScramVerifier("x", "0123456789abcdef", 1);
  for (const char* bad : {"", "n", "n,,", "n,,n=", "n,,n=,r=", "n,,r=abc", "p=tls-unique,,n=,r=a", "n,a=x,n=,r=a", "n,,m=1,n=,r=a"}) {
    EXPECT_FALSE(ScramServer(v, true, "nonce").First(bad).ok()) << bad;
  }
  SeededRandom random(3);
  for (int i = 0; i < 3000; ++i) {
    ScramServer server(v, true, "nonce");
    ASSERT_TRUE(server.First("n,,n=,r=abc").ok());
    std::string noise = "c=biws,r=abcnonce,p=" + random.Bytes(random.Uniform(50));
    EXPECT_FALSE(server.Final(noise.substr(random.Uniform(21))).ok());
  }
}

struct Handshake : ::testing::Test {
  // Runs both sides; gives the server's verdict and the client's.
  std::pair<absl::Status, absl::Status> Run(ScramVerifier verifier, bool known, std::string password) {
    auto [near, far] = MemoryStream::Pair();
    absl::Status server_status = absl::UnknownError("not run");
    TaskGroup group(loop.ctx());
    ByteStream* server_stream = near.get();
    group.SpawnFn([&, server_stream]() -> Task<void> {
      FrameReader reader(server_stream);
      auto startup = co_await reader.NextStartup(group.ctx());
      EXPECT_TRUE(startup.ok());
      server_status = co_await AuthenticateScram(group.ctx(), reader, *server_stream, ScramServer(verifier, known, "servernonce"));
      std::string out;
      if (server_status.ok()) {
        AppendAuthenticationOk(&out);
        AppendBackendKeyData({42, "abcd"}, &out);
        AppendParameterStatus("server_version", "15.0", &out);
        AppendReadyForQuery(TransactionStatus::kIdle, &out);
      } else {
        AppendError(ToPgError(server_status), &out);
      }
      EXPECT_TRUE((co_await server_stream->Write(group.ctx(), out)).ok());
    });
    auto client = loop.Run(PgClient::Start(loop.ctx(), std::move(far), random, {.user = "app", .password = password}));
    if (client.ok()) {
      EXPECT_EQ((*client)->key().process_id, 42u);
      EXPECT_EQ((*client)->parameters().at("server_version"), "15.0");
    }
    loop.Run([](TaskGroup* g) -> Task<bool> {
      co_await g->Wait();
      co_return true;
    }(&group));
    return {server_status, client.status()};
  }
  TestLoop loop;
  SeededRandom random{7};
};

TEST_F(Handshake, RightPassword) {
  auto [server, client] = Run(MakeScramVerifier("päss", random.Bytes(16)), true, "päss");
  EXPECT_TRUE(server.ok()) << server;
  EXPECT_TRUE(client.ok()) << client;
}

TEST_F(Handshake, WrongPasswordAndUnknownUserLookAlike) {
  auto [wrong_server, wrong_client] = Run(MakeScramVerifier("a", random.Bytes(16)), true, "b");
  auto [mock_server, mock_client] = Run(MockScramVerifier("app", "secret"), false, "b");
  EXPECT_EQ(ToPgError(wrong_client).sqlstate, "28P01");
  EXPECT_EQ(wrong_client, mock_client);
  EXPECT_EQ(wrong_server, mock_server);
}

TEST_F(Handshake, DerivesOffTheLoop) {
  auto v = loop.Run(DeriveScramVerifier(loop.ctx(), "pw", "0123456789abcdef"));
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(v->ToString(), MakeScramVerifier("pw", "0123456789abcdef").ToString());
}

}  // namespace
}  // namespace insula::pgwire
