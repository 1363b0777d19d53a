/* ome pull: one model from wherever a storage plugin reaches, into a folder, verified. */
#include "cli/backends.h"
#include "cli/cli.h"
#include "cli/depot.h"
#include "cli/parameters.h"
#include "cli/transfer_report.h"
#include "cli/wanted.h"
#include "os/beneath.h"
#include "os/file.h"
#include "transfer/digest.h"

#include "base/quantity.h"
#include "base/str.h"
#include "cli/serve.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct pull {
  const char *uri, *dir, *revision, *plugins, *format, *store;
  const char *max_rate;
  uint64_t connections, bytes_per_second;
  bool verify_only;
  struct wanted wanted;
  struct parameters parameters;
  struct transfer_report *report;
};

static bool stopped(UNUSED void *arg) {
  return cli_stopping();
}

static bool has_patterns(const struct pull *p) {
  return p->wanted.include.len || p->wanted.exclude.len;
}

/* ---- what is listed ---------------------------------------------------------------------------------------------- */

static int32_t leave_out_unwanted(const struct pull *p, struct manifest *m, struct ome_err *err) {
  for (size_t i = m->files.len; i-- > 0;)
    if (!is_wanted(&p->wanted, m->files.items[i].path))
      manifest_remove(m, i);
  return m->files.len ? OME_OK
                      : fail(err, OME_E_NOT_FOUND,
                             "pull: %s: the patterns leave no file; check --include and --exclude", p->uri);
}

/* A file of that name would be written into the store that is there for now. */
static int32_t check_names(const struct depot *d, const struct manifest *m, struct ome_err *err) {
  static const char own[] = DEPOT_PRIVATE "/";

  for (size_t i = 0; d->passing && i < m->files.len; i++)
    if (strncasecmp(m->files.items[i].path, own, sizeof(own) - 1) == 0)
      return fail(err, OME_E_INVALID, "pull: %.200s: this name is the program's own; use --store or --exclude",
                  m->files.items[i].path);
  return OME_OK;
}

static int32_t list(const struct pull *p, struct plugin_instance *storage, const struct ome_model_ref *ref,
                    struct manifest *out, struct transfer_event *end, struct ome_err *err) {
  const struct plugin_call call = {.timeout_ms = 300000, .cancelled = stopped};
  int32_t rc = manifest_list(storage, &call, ref, out, err);

  if (rc == OME_OK && out->files.len == 0)
    return fail(err, OME_E_UNSUPPORTED, "pull: %s: stays where it is and has no files; there is nothing to pull",
                p->uri);
  if (rc == OME_OK && has_patterns(p))
    rc = leave_out_unwanted(p, out, err);
  end->total_bytes = out->total_bytes;
  end->total_files = (uint32_t)out->files.len;
  return rc;
}

/* ---- only looking ------------------------------------------------------------------------------------------------ */

static int32_t verify_file(int root, const struct manifest_file *f, struct ome_err *err) {
  _cleanup_close_ int fd = beneath_open(root, f->path, O_RDONLY);
  struct stat st;
  char sha256[65];
  char wanted[65];

  if (!f->digest)
    return fail(err, OME_E_UNSUPPORTED, "verify: %.200s: the source names no digest to compare it with", f->path);
  if (fd < 0 || fstat(fd, &st) != 0)
    return fail_errno(err, "verify", f->path);
  if ((uint64_t)st.st_size != f->size)
    return fail(err, OME_E_CORRUPT, "verify: %.200s: has another size than listed", f->path);
  int32_t rc = digest_file(fd, f, stopped, NULL, sha256, wanted, NULL, err);
  return rc == OME_OK ? digest_compare(f, wanted, err) : rc;
}

/* Reads every file, and fails with what is wrong with the first that is. */
static int32_t verify(const struct pull *p, const struct manifest *m, struct transfer_event *end, struct ome_err *err) {
  _cleanup_close_ int root = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  uint32_t wrong = 0;

  if (root < 0)
    return fail_errno(err, "verify", p->dir);
  end->eta_ms = UINT64_MAX;
  for (size_t i = 0; i < m->files.len; i++) {
    const struct manifest_file *f = &m->files.items[i];
    struct ome_err why = ERR_INIT;
    int32_t rc = verify_file(root, f, &why);
    if (rc == OME_E_CANCELLED)
      return fail(err, rc, "%s", why.msg);
    end->bytes += rc == OME_OK ? f->size : 0;
    end->files += rc == OME_OK;
    end->file = f->path;
    end->type = rc == OME_OK ? TRANSFER_FILE : TRANSFER_RETRY;
    end->message = rc == OME_OK ? NULL : why.msg;
    transfer_report_event(p->report, end);
    wrong += rc != OME_OK;
  }
  end->message = NULL;
  return wrong ? fail(err, OME_E_CORRUPT, "verify: %s: %u of %zu files are not as listed; run it without --verify-only",
                      p->dir, wrong, m->files.len)
               : OME_OK;
}

/* ---- bringing ---------------------------------------------------------------------------------------------------- */

static int32_t bring(const struct pull *p, struct plugin_instance *storage, const struct ome_model_ref *ref,
                     struct manifest *m, struct ome_err *err) {
  _cleanup_depot_ struct depot d = {.store = NULL};
  int32_t rc = depot_open(&d, p->store, p->dir, err);

  if (rc == OME_OK)
    rc = check_names(&d, m, err);
  if (rc != OME_OK)
    return rc;
  const struct store_job job = {.name = d.name,
                                .uri = p->uri,
                                .path = d.dir,
                                .partial = has_patterns(p),
                                .verify = true,
                                .manifest = m,
                                .plugin = storage,
                                .ref = ref,
                                .connections = (uint32_t)p->connections,
                                .max_bytes_per_second = p->bytes_per_second,
                                .event = transfer_report_event,
                                .cancelled = stopped,
                                .arg = p->report};
  rc = model_store_bring(d.store, &job, err);
  if (rc == OME_OK && d.passing)
    rc = model_store_destroy(d.store, err);
  return rc;
}

static int32_t pull(const struct pull *p, struct transfer_event *end, struct ome_err *err) {
  _cleanup_backends_ struct backends backends = {0};
  _cleanup_manifest_ struct manifest m = {0};
  const struct ome_model_ref ref = {.struct_size = sizeof(ref),
                                    .uri = p->uri,
                                    .revision = p->revision,
                                    .params = p->parameters.list.items,
                                    .nparams = p->parameters.list.len};
  struct plugin_instance *storage = NULL;
  int32_t rc = backends_open(&backends, p->plugins, err);

  if (rc == OME_OK)
    rc = plugins_storage_for(backends.plugins, p->uri, &storage, err);
  if (rc == OME_OK)
    rc = list(p, storage, &ref, &m, end, err);
  if (rc == OME_OK)
    rc = p->verify_only ? verify(p, &m, end, err) : bring(p, storage, &ref, &m, err);
  if (rc == OME_OK) {
    end->bytes = end->total_bytes;
    end->files = end->total_files;
    end->file = p->dir;
  }
  return rc;
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct transfer_report report = {.terminal = isatty(STDERR_FILENO) == 1};
  struct pull p = {.connections = 16, .format = "table", .report = &report};
  struct transfer_event end = {0};
  struct ome_err err = ERR_INIT;
  const struct cli_option options[] = {
      {'o', "output", "FORMAT", "json: one event a line on standard output", CLI_STRING, &p.format},
      {0, "revision", "NAME", "branch, tag or commit (default: what the address says)", CLI_STRING, &p.revision},
      WANTED_OPTIONS(&p.wanted),
      PARAMETERS_OPTIONS(&p.parameters),
      {0, "verify-only", NULL, "fetch nothing; read what is in DIR and compare it with the list", CLI_FLAG,
       &p.verify_only},
      {0, "connections", "N", "requests at a time at most (default: 16)", CLI_UINT, &p.connections},
      {0, "max-rate", "BYTES", "a second at most: 500k, 20M, 1Gi", CLI_STRING, &p.max_rate},
      {0, "store", "DIR", "model store to use (default: $OME_STORE, then ~/.cache/ome)", CLI_STRING, &p.store},
      OPTION_PLUGINS(&p.plugins),
      {0},
  };

  if (cli_parse(self, options, argc, argv) != 2)
    return cli_usage(self, "an address and a folder are needed");
  if (p.connections == 0 || p.connections > 64)
    return cli_usage(self, "--connections is 1 to 64");
  if (p.max_rate && !cli_bytes(p.max_rate, &p.bytes_per_second))
    return cli_usage(self, "--max-rate is a number of bytes a second, as 500k, 20M or 1Gi");
  p.uri = argv[1];
  p.dir = argv[2];
  if (!streq(p.format, "json") && !streq(p.format, "table"))
    return cli_usage(self, "--output is json, or left out");
  report.json = streq(p.format, "json");
  cli_signals_block();
  int32_t rc = parameters_read(&p.parameters, &err);
  if (rc == OME_OK)
    rc = pull(&p, &end, &err);
  parameters_fini(&p.parameters);
  return transfer_report_end(&report, &end, rc, &err);
}

const struct cli_command cli_pull = {
    .name = "pull",
    .args = "URI DIR",
    .summary = "fetch and verify one model",
    .help =
        "Fetches the files of a model into DIR, in parallel and verified; run again, it goes on where it was.\n"
        "The files are links into a store, so that what models share is fetched and kept once; where no link leads\n"
        "from DIR into the store (another disk), DIR holds the files alone.\n"
        "Tokens come from the environment (HF_TOKEN), a file (--parameter token=@FILE) or plugins.conf, never from\n"
        "the command line.\n\n"
        "  ome pull hf://HuggingFaceTB/SmolLM2-135M-Instruct ./smollm2\n"
        "  ome pull hf://org/name ./name --include '*.safetensors' --include '*.json'\n"
        "  ome pull s3://models/name ./name --parameter endpoint=http://minio:9000 --parameter region=eu-west-1",
    .run = run,
};
