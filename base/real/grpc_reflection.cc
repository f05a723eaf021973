#include "base/real/grpc_reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/unknown_field_set.h>

namespace insula::real {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// Field numbers of reflection.proto.
enum RequestField { kHost = 1, kFileByName = 3, kFileContainingSymbol = 4, kFileContainingExtension = 5, kAllExtensionNumbers = 6, kListServices = 7 };
enum ResponseField { kValidHost = 1, kOriginalRequest = 2, kFileDescriptorResponse = 4, kListServicesResponse = 6, kErrorResponse = 7 };
constexpr int kCodeInvalidArgument = 3;
constexpr int kCodeNotFound = 5;
constexpr int kCodeUnimplemented = 12;

void Error(UnknownFieldSet* response, int code, const std::string& text) {
  UnknownFieldSet message;
  message.AddVarint(1, code);
  *message.AddLengthDelimited(2) = text;
  message.SerializeToString(response->AddLengthDelimited(kErrorResponse));
}

void File(UnknownFieldSet* response, const FileDescriptor* file, const std::string& wanted) {
  if (file == nullptr) return Error(response, kCodeNotFound, wanted + " is not known here");
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  UnknownFieldSet message;
  proto.SerializeToString(message.AddLengthDelimited(1));
  message.SerializeToString(response->AddLengthDelimited(kFileDescriptorResponse));
}

void Services(UnknownFieldSet* response, const std::set<std::string>& services) {
  UnknownFieldSet list;
  for (const std::string& name : services) {
    UnknownFieldSet service;
    *service.AddLengthDelimited(1) = name;
    service.SerializeToString(list.AddLengthDelimited(1));
  }
  list.SerializeToString(response->AddLengthDelimited(kListServicesResponse));
}

}  // namespace

std::string AnswerReflection(std::string_view bytes, const std::set<std::string>& services) {
  UnknownFieldSet request, response;
  bool parsed = request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  *response.AddLengthDelimited(kOriginalRequest) = std::string(bytes);
  const UnknownField* asked = nullptr;
  for (int i = 0; i < request.field_count(); ++i) {
    const UnknownField& field = request.field(i);
    if (field.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
    if (field.number() == kHost) *response.AddLengthDelimited(kValidHost) = field.length_delimited();
    if (field.number() > kHost) asked = &field;
  }
  const DescriptorPool* pool = DescriptorPool::generated_pool();
  if (!parsed || asked == nullptr) {
    Error(&response, kCodeInvalidArgument, "the request does not parse");
  } else if (asked->number() == kListServices) {
    Services(&response, services);
  } else if (asked->number() == kFileByName) {
    File(&response, pool->FindFileByName(asked->length_delimited()), asked->length_delimited());
  } else if (asked->number() == kFileContainingSymbol) {
    File(&response, pool->FindFileContainingSymbol(asked->length_delimited()), asked->length_delimited());
  } else {
    Error(&response, kCodeUnimplemented, "extensions are not reflected");
  }
  std::string out;
  response.SerializeToString(&out);
  return out;
}

}  // namespace insula::real
