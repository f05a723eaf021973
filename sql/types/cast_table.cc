// pg_cast's rows between the types we know, by source and target. Rows of a type with itself are its modifier's coercion.
#include "sql/types/cast_table.h"

namespace insula::sql::internal {
namespace {

constexpr CastContext kImplicit = CastContext::kImplicit, kAssignment = CastContext::kAssignment,
                      kExplicit = CastContext::kExplicit;
constexpr CastMethod kSame = CastMethod::kSame, kFunction = CastMethod::kFunction, kInOut = CastMethod::kInOut;

// clang-format off
constexpr CastInfo kCasts[] = {
    {16, 23, kExplicit, kFunction, "int4(bool)"},  // bool to int4
    {16, 25, kAssignment, kFunction, "text(bool)"},  // bool to text
    {16, 1042, kAssignment, kFunction, "text(bool)"},  // bool to bpchar
    {16, 1043, kAssignment, kFunction, "text(bool)"},  // bool to varchar
    {18, 23, kExplicit, kFunction, "int4(char)"},  // char to int4
    {18, 25, kImplicit, kFunction, "text(char)"},  // char to text
    {18, 1042, kAssignment, kFunction, "bpchar(char)"},  // char to bpchar
    {18, 1043, kAssignment, kFunction, "text(char)"},  // char to varchar
    {19, 25, kImplicit, kFunction, "text(name)"},  // name to text
    {19, 1042, kAssignment, kFunction, "bpchar(name)"},  // name to bpchar
    {19, 1043, kAssignment, kFunction, "varchar(name)"},  // name to varchar
    {20, 21, kAssignment, kFunction, "int2(int8)"},  // int8 to int2
    {20, 23, kAssignment, kFunction, "int4(int8)"},  // int8 to int4
    {20, 24, kImplicit, kFunction, "oid"},  // int8 to regproc
    {20, 26, kImplicit, kFunction, "oid"},  // int8 to oid
    {20, 700, kImplicit, kFunction, "float4(int8)"},  // int8 to float4
    {20, 701, kImplicit, kFunction, "float8(int8)"},  // int8 to float8
    {20, 1560, kExplicit, kFunction, "bit(int8,int4)"},  // int8 to bit
    {20, 1700, kImplicit, kFunction, "numeric(int8)"},  // int8 to numeric
    {20, 2202, kImplicit, kFunction, "oid"},  // int8 to regprocedure
    {20, 2203, kImplicit, kFunction, "oid"},  // int8 to regoper
    {20, 2204, kImplicit, kFunction, "oid"},  // int8 to regoperator
    {20, 2205, kImplicit, kFunction, "oid"},  // int8 to regclass
    {20, 2206, kImplicit, kFunction, "oid"},  // int8 to regtype
    {20, 4089, kImplicit, kFunction, "oid"},  // int8 to regnamespace
    {20, 4096, kImplicit, kFunction, "oid"},  // int8 to regrole
    {20, 4191, kImplicit, kFunction, "oid"},  // int8 to regcollation
    {21, 20, kImplicit, kFunction, "int8(int2)"},  // int2 to int8
    {21, 23, kImplicit, kFunction, "int4(int2)"},  // int2 to int4
    {21, 24, kImplicit, kFunction, "int4(int2)"},  // int2 to regproc
    {21, 26, kImplicit, kFunction, "int4(int2)"},  // int2 to oid
    {21, 700, kImplicit, kFunction, "float4(int2)"},  // int2 to float4
    {21, 701, kImplicit, kFunction, "float8(int2)"},  // int2 to float8
    {21, 1700, kImplicit, kFunction, "numeric(int2)"},  // int2 to numeric
    {21, 2202, kImplicit, kFunction, "int4(int2)"},  // int2 to regprocedure
    {21, 2203, kImplicit, kFunction, "int4(int2)"},  // int2 to regoper
    {21, 2204, kImplicit, kFunction, "int4(int2)"},  // int2 to regoperator
    {21, 2205, kImplicit, kFunction, "int4(int2)"},  // int2 to regclass
    {21, 2206, kImplicit, kFunction, "int4(int2)"},  // int2 to regtype
    {21, 4089, kImplicit, kFunction, "int4(int2)"},  // int2 to regnamespace
    {21, 4096, kImplicit, kFunction, "int4(int2)"},  // int2 to regrole
    {21, 4191, kImplicit, kFunction, "int4(int2)"},  // int2 to regcollation
    {23, 16, kExplicit, kFunction, "bool(int4)"},  // int4 to bool
    {23, 18, kExplicit, kFunction, "char(int4)"},  // int4 to char
    {23, 20, kImplicit, kFunction, "int8(int4)"},  // int4 to int8
    {23, 21, kAssignment, kFunction, "int2(int4)"},  // int4 to int2
    {23, 24, kImplicit, kSame, ""},  // int4 to regproc
    {23, 26, kImplicit, kSame, ""},  // int4 to oid
    {23, 700, kImplicit, kFunction, "float4(int4)"},  // int4 to float4
    {23, 701, kImplicit, kFunction, "float8(int4)"},  // int4 to float8
    {23, 1560, kExplicit, kFunction, "bit(int4,int4)"},  // int4 to bit
    {23, 1700, kImplicit, kFunction, "numeric(int4)"},  // int4 to numeric
    {23, 2202, kImplicit, kSame, ""},  // int4 to regprocedure
    {23, 2203, kImplicit, kSame, ""},  // int4 to regoper
    {23, 2204, kImplicit, kSame, ""},  // int4 to regoperator
    {23, 2205, kImplicit, kSame, ""},  // int4 to regclass
    {23, 2206, kImplicit, kSame, ""},  // int4 to regtype
    {23, 4089, kImplicit, kSame, ""},  // int4 to regnamespace
    {23, 4096, kImplicit, kSame, ""},  // int4 to regrole
    {23, 4191, kImplicit, kSame, ""},  // int4 to regcollation
    {24, 20, kAssignment, kFunction, "int8(oid)"},  // regproc to int8
    {24, 23, kAssignment, kSame, ""},  // regproc to int4
    {24, 26, kImplicit, kSame, ""},  // regproc to oid
    {24, 2202, kImplicit, kSame, ""},  // regproc to regprocedure
    {25, 18, kAssignment, kFunction, "char(text)"},  // text to char
    {25, 19, kImplicit, kFunction, "name(text)"},  // text to name
    {25, 1042, kImplicit, kSame, ""},  // text to bpchar
    {25, 1043, kImplicit, kSame, ""},  // text to varchar
    {25, 2205, kImplicit, kFunction, "regclass"},  // text to regclass
    {26, 20, kAssignment, kFunction, "int8(oid)"},  // oid to int8
    {26, 23, kAssignment, kSame, ""},  // oid to int4
    {26, 24, kImplicit, kSame, ""},  // oid to regproc
    {26, 2202, kImplicit, kSame, ""},  // oid to regprocedure
    {26, 2203, kImplicit, kSame, ""},  // oid to regoper
    {26, 2204, kImplicit, kSame, ""},  // oid to regoperator
    {26, 2205, kImplicit, kSame, ""},  // oid to regclass
    {26, 2206, kImplicit, kSame, ""},  // oid to regtype
    {26, 4089, kImplicit, kSame, ""},  // oid to regnamespace
    {26, 4096, kImplicit, kSame, ""},  // oid to regrole
    {26, 4191, kImplicit, kSame, ""},  // oid to regcollation
    {114, 3802, kAssignment, kInOut, ""},  // json to jsonb
    {194, 25, kImplicit, kSame, ""},  // pg_node_tree to text
    {700, 20, kAssignment, kFunction, "int8(float4)"},  // float4 to int8
    {700, 21, kAssignment, kFunction, "int2(float4)"},  // float4 to int2
    {700, 23, kAssignment, kFunction, "int4(float4)"},  // float4 to int4
    {700, 701, kImplicit, kFunction, "float8(float4)"},  // float4 to float8
    {700, 1700, kAssignment, kFunction, "numeric(float4)"},  // float4 to numeric
    {701, 20, kAssignment, kFunction, "int8(float8)"},  // float8 to int8
    {701, 21, kAssignment, kFunction, "int2(float8)"},  // float8 to int2
    {701, 23, kAssignment, kFunction, "int4(float8)"},  // float8 to int4
    {701, 700, kAssignment, kFunction, "float4(float8)"},  // float8 to float4
    {701, 1700, kAssignment, kFunction, "numeric(float8)"},  // float8 to numeric
    {1042, 18, kAssignment, kFunction, "char(text)"},  // bpchar to char
    {1042, 19, kImplicit, kFunction, "name(bpchar)"},  // bpchar to name
    {1042, 25, kImplicit, kFunction, "text(bpchar)"},  // bpchar to text
    {1042, 1042, kImplicit, kFunction, "bpchar(bpchar,int4,bool)"},  // bpchar to bpchar
    {1042, 1043, kImplicit, kFunction, "text(bpchar)"},  // bpchar to varchar
    {1043, 18, kAssignment, kFunction, "char(text)"},  // varchar to char
    {1043, 19, kImplicit, kFunction, "name(varchar)"},  // varchar to name
    {1043, 25, kImplicit, kSame, ""},  // varchar to text
    {1043, 1042, kImplicit, kSame, ""},  // varchar to bpchar
    {1043, 1043, kImplicit, kFunction, "varchar(varchar,int4,bool)"},  // varchar to varchar
    {1043, 2205, kImplicit, kFunction, "regclass"},  // varchar to regclass
    {1082, 1114, kImplicit, kFunction, "timestamp(date)"},  // date to timestamp
    {1082, 1184, kImplicit, kFunction, "timestamptz(date)"},  // date to timestamptz
    {1083, 1083, kImplicit, kFunction, "time(time,int4)"},  // time to time
    {1083, 1186, kImplicit, kFunction, "interval(time)"},  // time to interval
    {1083, 1266, kImplicit, kFunction, "timetz(time)"},  // time to timetz
    {1114, 1082, kAssignment, kFunction, "date(timestamp)"},  // timestamp to date
    {1114, 1083, kAssignment, kFunction, "time(timestamp)"},  // timestamp to time
    {1114, 1114, kImplicit, kFunction, "timestamp(timestamp,int4)"},  // timestamp to timestamp
    {1114, 1184, kImplicit, kFunction, "timestamptz(timestamp)"},  // timestamp to timestamptz
    {1184, 1082, kAssignment, kFunction, "date(timestamptz)"},  // timestamptz to date
    {1184, 1083, kAssignment, kFunction, "time(timestamptz)"},  // timestamptz to time
    {1184, 1114, kAssignment, kFunction, "timestamp(timestamptz)"},  // timestamptz to timestamp
    {1184, 1184, kImplicit, kFunction, "timestamptz(timestamptz,int4)"},  // timestamptz to timestamptz
    {1184, 1266, kAssignment, kFunction, "timetz(timestamptz)"},  // timestamptz to timetz
    {1186, 1083, kAssignment, kFunction, "time(interval)"},  // interval to time
    {1186, 1186, kImplicit, kFunction, "interval(interval,int4)"},  // interval to interval
    {1266, 1083, kAssignment, kFunction, "time(timetz)"},  // timetz to time
    {1266, 1266, kImplicit, kFunction, "timetz(timetz,int4)"},  // timetz to timetz
    {1560, 20, kExplicit, kFunction, "int8(bit)"},  // bit to int8
    {1560, 23, kExplicit, kFunction, "int4(bit)"},  // bit to int4
    {1560, 1560, kImplicit, kFunction, "bit(bit,int4,bool)"},  // bit to bit
    {1560, 1562, kImplicit, kSame, ""},  // bit to varbit
    {1562, 1560, kImplicit, kSame, ""},  // varbit to bit
    {1562, 1562, kImplicit, kFunction, "varbit"},  // varbit to varbit
    {1700, 20, kAssignment, kFunction, "int8(numeric)"},  // numeric to int8
    {1700, 21, kAssignment, kFunction, "int2(numeric)"},  // numeric to int2
    {1700, 23, kAssignment, kFunction, "int4(numeric)"},  // numeric to int4
    {1700, 700, kImplicit, kFunction, "float4(numeric)"},  // numeric to float4
    {1700, 701, kImplicit, kFunction, "float8(numeric)"},  // numeric to float8
    {1700, 1700, kImplicit, kFunction, "numeric(numeric,int4)"},  // numeric to numeric
    {2202, 20, kAssignment, kFunction, "int8(oid)"},  // regprocedure to int8
    {2202, 23, kAssignment, kSame, ""},  // regprocedure to int4
    {2202, 24, kImplicit, kSame, ""},  // regprocedure to regproc
    {2202, 26, kImplicit, kSame, ""},  // regprocedure to oid
    {2203, 20, kAssignment, kFunction, "int8(oid)"},  // regoper to int8
    {2203, 23, kAssignment, kSame, ""},  // regoper to int4
    {2203, 26, kImplicit, kSame, ""},  // regoper to oid
    {2203, 2204, kImplicit, kSame, ""},  // regoper to regoperator
    {2204, 20, kAssignment, kFunction, "int8(oid)"},  // regoperator to int8
    {2204, 23, kAssignment, kSame, ""},  // regoperator to int4
    {2204, 26, kImplicit, kSame, ""},  // regoperator to oid
    {2204, 2203, kImplicit, kSame, ""},  // regoperator to regoper
    {2205, 20, kAssignment, kFunction, "int8(oid)"},  // regclass to int8
    {2205, 23, kAssignment, kSame, ""},  // regclass to int4
    {2205, 26, kImplicit, kSame, ""},  // regclass to oid
    {2206, 20, kAssignment, kFunction, "int8(oid)"},  // regtype to int8
    {2206, 23, kAssignment, kSame, ""},  // regtype to int4
    {2206, 26, kImplicit, kSame, ""},  // regtype to oid
    {3802, 16, kExplicit, kFunction, "bool(jsonb)"},  // jsonb to bool
    {3802, 20, kExplicit, kFunction, "int8(jsonb)"},  // jsonb to int8
    {3802, 21, kExplicit, kFunction, "int2(jsonb)"},  // jsonb to int2
    {3802, 23, kExplicit, kFunction, "int4(jsonb)"},  // jsonb to int4
    {3802, 114, kAssignment, kInOut, ""},  // jsonb to json
    {3802, 700, kExplicit, kFunction, "float4(jsonb)"},  // jsonb to float4
    {3802, 701, kExplicit, kFunction, "float8(jsonb)"},  // jsonb to float8
    {3802, 1700, kExplicit, kFunction, "numeric(jsonb)"},  // jsonb to numeric
    {4089, 20, kAssignment, kFunction, "int8(oid)"},  // regnamespace to int8
    {4089, 23, kAssignment, kSame, ""},  // regnamespace to int4
    {4089, 26, kImplicit, kSame, ""},  // regnamespace to oid
    {4096, 20, kAssignment, kFunction, "int8(oid)"},  // regrole to int8
    {4096, 23, kAssignment, kSame, ""},  // regrole to int4
    {4096, 26, kImplicit, kSame, ""},  // regrole to oid
    {4191, 20, kAssignment, kFunction, "int8(oid)"},  // regcollation to int8
    {4191, 23, kAssignment, kSame, ""},  // regcollation to int4
    {4191, 26, kImplicit, kSame, ""},  // regcollation to oid
    {5069, 28, kExplicit, kFunction, "xid(xid8)"},  // xid8 to xid
};
// clang-format on

}  // namespace

std::span<const CastInfo> CastTable() { return kCasts; }

}  // namespace insula::sql::internal
