#include "cli/cli.h"

#include "base/buf.h"
#include "base/quantity.h"
#include "base/str.h"
#include "base/yaml.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OPTIONS 48

static size_t count_options(const struct cli_option *options) {
  size_t n = 0;

  while (options && options[n].name)
    n++;
  return n;
}

/* Those that people are told of, in OUT of MAX_OPTIONS + 1. */
static void list_told(const struct cli_option *options, struct cli_option *out) {
  size_t n = 0;

  for (size_t i = 0; i < count_options(options); i++)
    if (options[i].help && n < MAX_OPTIONS)
      out[n++] = options[i];
  out[n] = (struct cli_option){.name = NULL};
}

static void print_help(const struct cli_command *cmd, const struct cli_option *options) {
  struct cli_option told[MAX_OPTIONS + 1];

  printf("usage: ome %s [OPTIONS]%s%s\n\n%s\n", cmd->name, *cmd->args ? " " : "", cmd->args, cmd->help);
  printf("\nOptions:\n");
  list_told(options, told);
  for (const struct cli_option *o = told; o->name; o++) {
    char left[64];
    (void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                   o->letter ? "," : " ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    printf("  %-32s %s\n", left, o->help);
  }
  printf("  %-32s %s\n", "-h, --help", "show this text");
}

/* A flag alone is one that is set; --flag=true and --flag=false say it in words, as Go's command lines do. */
static int store_flag(const struct cli_command *cmd, const struct cli_option *o, const char *value) {
  bool is_false = value && (streq(value, "false") || streq(value, "0"));

  if (value && !is_false && !streq(value, "true") && !streq(value, "1"))
    return cli_usage(cmd, "--%s: \"%s\" is neither true nor false", o->name, value);
  *(bool *)o->target = !is_false;
  return 0;
}

static int store_value(const struct cli_command *cmd, const struct cli_option *o, const char *value) {
  struct cli_list *list = o->target;

  switch (o->type) {
  case CLI_FLAG:
    return store_flag(cmd, o, value);
  case CLI_STRING:
    *(const char **)o->target = value;
    return 0;
  case CLI_UINT:
    return str_to_u64(value, o->target) ? 0 : cli_usage(cmd, "--%s: \"%s\" is not a number", o->name, value);
  case CLI_LIST:
    if (list->len == ARRAY_LEN(list->items))
      return cli_usage(cmd, "--%s: given more than %zu times", o->name, ARRAY_LEN(list->items));
    list->items[list->len++] = value;
    return 0;
  }
  return 0;
}

/* Options are known to run() alone.  A child runs the command with this set, and cli_parse() ends it. */
static struct {
  cli_describe_fn fn;
  void *ctx;
} g_describe;

void cli_describe(const struct cli_command *cmd, cli_describe_fn fn, void *ctx) {
  char name[64];
  char *argv[] = {name, NULL};

  (void)snprintf(name, sizeof(name), "%s", cmd->name);
  (void)fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    g_describe.fn = fn;
    g_describe.ctx = ctx;
    (void)cmd->run(cmd, 1, argv);
    _exit(1);
  }
  if (pid > 0)
    (void)waitpid(pid, NULL, 0);
}

/* Does not return in such a child. */
static void describe_instead(const struct cli_command *cmd, const struct cli_option *options) {
  struct cli_option told[MAX_OPTIONS + 1];

  if (!g_describe.fn)
    return;
  list_told(options, told);
  g_describe.fn(g_describe.ctx, cmd, told);
  (void)fflush(stdout);
  _exit(0);
}

int cli_parse(const struct cli_command *cmd, const struct cli_option *options, int argc, char **argv) {
  struct option longs[MAX_OPTIONS + 2] = {{0}};
  char shorts[2 * MAX_OPTIONS + 4] = ":h";
  size_t n = count_options(options);
  size_t at = 2;

  describe_instead(cmd, options);
  for (size_t i = 0; i < n && i < MAX_OPTIONS; i++) {
    longs[i] =
        (struct option){options[i].name, options[i].arg ? required_argument : optional_argument, NULL, (int)(256 + i)};
    if (options[i].letter) {
      shorts[at++] = options[i].letter;
      if (options[i].arg)
        shorts[at++] = ':';
    }
  }
  longs[n] = (struct option){"help", no_argument, NULL, 'h'};

  opterr = 0;
  optind = 0;
  for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
    const struct cli_option *o = NULL;
    if (c == 'h') {
      print_help(cmd, options);
      exit(0);
    }
    if (c == ':')
      exit(cli_usage(cmd, "%s needs a value", argv[optind - 1]));
    for (size_t i = 0; i < n; i++)
      if (c == (int)(256 + i) || (c < 256 && c == options[i].letter))
        o = &options[i];
    if (!o)
      exit(cli_usage(cmd, "unknown option %s", argv[optind - 1]));
    int rc = store_value(cmd, o, optarg);
    if (rc)
      exit(rc);
  }
  int operands = argc - optind;
  memmove(argv + 1, argv + optind, (size_t)operands * sizeof(*argv));
  return operands;
}

int cli_fail(const struct ome_err *err) {
  fprintf(stderr, "ome: %s\n", err->msg);
  return 1;
}

int cli_usage(const struct cli_command *cmd, const char *fmt, ...) {
  va_list ap;

  fprintf(stderr, "ome %s: ", cmd->name);
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fprintf(stderr, "; see ome %s --help\n", cmd->name);
  return 2;
}

bool cli_bytes(const char *text, uint64_t *out) {
  int64_t bytes = 0;

  if (!quantity_value(text, &bytes) || bytes <= 0)
    return false;
  *out = (uint64_t)bytes;
  return true;
}

bool cli_duration(const char *text, uint64_t *out) {
  static const struct {
    const char *unit;
    double seconds;
  } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"ms", 0.001}};
  char *end;
  double n = strtod(text, &end);

  for (size_t i = 0; i < ARRAY_LEN(units); i++)
    if (end > text && streq(end, units[i].unit) && n >= 0 && n * units[i].seconds <= 1e6) {
      *out = (uint64_t)(n * units[i].seconds * 1e9);
      return true;
    }
  return false;
}

int cli_print(struct json_object *o, const char *format, void (*table)(struct json_object *)) {
  if (!format || streq(format, "table")) {
    if (table) {
      table(o);
      return 0;
    }
    format = "yaml";
  }
  if (streq(format, "json")) {
    _cleanup_free_ char *text = json_pretty(o);
    printf("%s\n", text ? text : "null");
    return 0;
  }
  if (streq(format, "yaml")) {
    _cleanup_buf_ struct buf b = BUF_INIT;
    yaml_write(&b, o);
    fwrite(buf_str(&b), 1, b.len, stdout);
    return 0;
  }
  fprintf(stderr, "ome: --output: \"%s\" is none of json, yaml, table\n", format);
  return 2;
}
