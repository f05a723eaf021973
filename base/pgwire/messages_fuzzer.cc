// libFuzzer target: every decoder, the startup parser, option splitting and both SCRAM servers' messages on arbitrary bytes.
// The first byte picks the decoder, so that the fuzzer can work on one at a time.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/pgwire/backend.h"
#include "base/pgwire/frontend.h"
#include "base/pgwire/scram.h"
#include "base/pgwire/startup.h"

using namespace insula::pgwire;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  static const ScramVerifier verifier = MakeScramVerifier("x", "0123456789abcdef", 1);
  switch (data[0] % 16) {
    case 0: (void)ParseStartupPacket(in); break;
    case 1: (void)SettingsFromOptions(SplitOptions(in)); break;
    case 2: (void)DecodeParse(in); break;
    case 3: (void)DecodeBind(in); break;
    case 4: (void)DecodeTarget(in); break;
    case 5: (void)DecodeExecute(in); break;
    case 6: (void)DecodeFunctionCall(in); break;
    case 7: (void)DecodeSaslInitial(in); break;
    case 8: (void)DecodeAuthentication(in); break;
    case 9: (void)DecodeRowDescription(in); break;
    case 10: (void)DecodeDataRow(in); break;
    case 11: (void)DecodeError(in); break;
    case 12: (void)DecodeCopyResponse(in); break;
    case 13: (void)ScramVerifier::Parse(in); break;
    case 14: (void)ScramServer(verifier, true, "nonce").First(in); break;
    case 15: {
      ScramServer server(verifier, true, "nonce");
      if (server.First("n,,n=,r=abc").ok()) (void)server.Final(in);
      break;
    }
  }
  return 0;
}
