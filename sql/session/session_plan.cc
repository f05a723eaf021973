// From statements to plans: the cached way and the long one.
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder.h"
#include "sql/opt/optimizer.h"
#include "sql/session/session.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

// States of transactions with uncommitted schema changes.
constexpr uint64_t kFirstPrivateVersion = uint64_t{1} << 63;

// 'now', 'today' and the like become constants while a statement is bound; a plan with them must not be found again later.
bool MentionsNow(std::string_view sql) {
  for (size_t quote = sql.find('\''); quote != std::string_view::npos; quote = sql.find('\'', quote + 1)) {
    size_t word = sql.find_first_not_of(" \t\r\n", quote + 1);
    if (word == std::string_view::npos) return false;
    std::string text = AsciiLower(sql.substr(word, 9));
    for (std::string_view time : {"now", "today", "tomorrow", "yesterday"}) {
      if (text.starts_with(time)) return true;
    }
  }
  return false;
}

std::vector<ResultColumn> TextColumns(const std::vector<std::string_view>& names) {
  std::vector<ResultColumn> out;
  for (std::string_view name : names) out.push_back({std::string(name), {oid::kText, -1}, 0, 0});
  return out;
}

}  // namespace

std::string Session::CacheKey(std::string_view text, const std::vector<SqlType>& types) const {
  return PlanCache::Key(start_.database, settings_.Current().plan_key, text, types);
}

std::string Session::TextCacheKey(const StatementSource& source, const std::vector<SqlType>& types) const {
  return MentionsNow(source.sql) ? "" : CacheKey(StrCat(source.inner ? "i:" : "x:", source.sql), types);
}

bool Session::IsCurrent(const PlannedStatement& planned, const SnapshotPtr& snapshot) const {
  return planned.catalog_version == snapshot->version() && planned.plan_key == settings_.Current().plan_key;
}

absl::StatusOr<PlannedPtr> Session::MakePlan(const Context& ctx, const SourcePtr& source, const std::vector<SqlType>& types,
                                             const SnapshotPtr& snapshot) {
  StatementFunctions functions(this, snapshot, ctx);
  BindContext bind;
  bind.catalog = snapshot.get();
  bind.search_path = BindingSearchPath();
  bind.functions = functions.get();
  bind.parameter_types = types;
  ASSIGN_OR_RETURN(std::unique_ptr<BoundStatement> bound, insula::sql::Bind(*source->ast, bind));
  OptimizerOptions options;
  options.functions = functions.get();
  options.enable_hashjoin = settings_.Get("enable_hashjoin") == "on";
  options.enable_nestloop = settings_.Get("enable_nestloop") == "on";
  options.enable_indexscan = settings_.Get("enable_indexscan") == "on";
  options.enable_lookupjoin = options.enable_indexscan;
  options.enable_hashagg = settings_.Get("enable_hashagg") == "on";
  options.enable_sort = settings_.Get("enable_sort") == "on";
  auto planned = std::make_shared<PlannedStatement>();
  ASSIGN_OR_RETURN(planned->plan, Optimize(std::move(bound), options));
  planned->source = source;
  planned->catalog_version = snapshot->version();
  planned->plan_key = settings_.Current().plan_key;
  planned->database = start_.database;
  planned->reads_catalog = ReadsCatalog(*planned->plan->root);
  return PlannedPtr(std::move(planned));
}

Task<absl::StatusOr<PlannedPtr>> Session::PlanFor(const Context& ctx, const SourcePtr& source, const std::vector<SqlType>& types,
                                                  const std::string& cache_key) {
  for (int attempt = 0;; ++attempt) {
    CO_ASSIGN_OR_RETURN(SnapshotPtr snapshot, co_await KnownSnapshot(ctx));
    const bool committed = snapshot->version() < kFirstPrivateVersion;
    const bool cacheable = committed && !cache_key.empty();
    if (cacheable) {
      if (PlannedPtr planned = env_.plans->Find(cache_key, snapshot->version(), nullptr)) co_return planned;
    }
    absl::StatusOr<PlannedPtr> planned = MakePlan(ctx, source, types, snapshot);
    if (planned.ok()) {
      if (cacheable) env_.plans->Insert(cache_key, *planned);
      co_return planned;
    }
    // What this pod knows of the catalog may be old: an error counts only against the newest state.
    if (attempt > 0 || !committed) co_return planned;
    CO_ASSIGN_OR_RETURN(CatalogStatePtr newest, co_await env_.catalog->Refresh(ctx));
    if (newest->version() == snapshot->version()) co_return planned;
    if (transaction_.started()) co_return absl::FailedPreconditionError("the catalog has changed");
  }
}

absl::StatusOr<std::vector<Datum>> Session::LiteralValues(const Context& ctx, const SqlShape& shape, const PlannedStatement& planned) {
  const auto& parameters = planned.literals->parameters;
  const std::vector<SqlType>& types = planned.plan->info.parameter_types;
  IoContext io = settings_.Current().io;
  io.now_us = transaction_.state() == TransactionState::kIdle ? statement_us_ : transaction_.start_us();
  std::optional<SessionCatalog> names;
  std::vector<Datum> out;
  out.reserve(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    const SqlLiteral& literal = shape.literals[parameters[i].literal];
    SqlType type = i < types.size() ? types[i] : SqlType{oid::kText, -1};
    if (IsRegType(type.oid) && !names) {
      names.emplace(snapshot(), this);
      io.reg_names = &*names;
    }
    if (parameters[i].negative) {
      ASSIGN_OR_RETURN(Datum value, TextIn(io, type, StrCat("-", literal.text)));
      out.push_back(std::move(value));
    } else {
      ASSIGN_OR_RETURN(Datum value, TextIn(io, type, literal.text));
      out.push_back(std::move(value));
    }
  }
  return out;
}

Task<absl::StatusOr<std::vector<ResultColumn>>> Session::DescribeStatement(const Context& ctx, PreparedStatement& statement) {
  statement.parameter_types = statement.declared_types;
  statement.columns.clear();
  if (statement.source == nullptr) co_return statement.columns;
  const StatementSource& source = *statement.source;
  if (source.is_query()) {
    const std::string key = TextCacheKey(source, statement.declared_types);
    CO_ASSIGN_OR_RETURN(statement.planned, co_await PlanFor(ctx, statement.source, statement.declared_types, key));
    statement.parameter_types = statement.planned->plan->info.parameter_types;
    statement.columns = statement.planned->plan->info.columns;
    co_return statement.columns;
  }
  switch (source.ast->kind) {
    case ast::StatementKind::kShow: {
      const std::string& name = source.ast->As<ast::ShowStatement>().name;
      if (name == "all") {
        statement.columns = TextColumns({"name", "setting", "description"});
      } else {
        const SettingInfo* info = FindSetting(name);
        statement.columns = TextColumns({info != nullptr ? info->name : std::string_view(name)});
      }
      break;
    }
    case ast::StatementKind::kExplain:
      statement.columns = TextColumns({"QUERY PLAN"});
      break;
    case ast::StatementKind::kFetch: {
      const auto& fetch = source.ast->As<ast::FetchStatement>();
      auto it = portals_.find(fetch.cursor);
      if (!fetch.move && it != portals_.end()) statement.columns = it->second->columns;
      break;
    }
    case ast::StatementKind::kExecute: {
      auto it = prepared_.find(source.ast->As<ast::ExecuteStatement>().name);
      if (it != prepared_.end()) statement.columns = it->second->columns;
      break;
    }
    default:
      break;
  }
  // Parameters of statements that are not planned here are text until something says otherwise.
  if (static_cast<int>(statement.parameter_types.size()) < source.parameter_count) {
    statement.parameter_types.resize(source.parameter_count, {oid::kText, -1});
  }
  for (SqlType& type : statement.parameter_types) {
    if (type.oid == 0 || type.oid == oid::kUnknown) type = {oid::kText, -1};
  }
  co_return statement.columns;
}

}  // namespace insula::sql
