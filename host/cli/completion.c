/* ome completion, ome man: the same tables that --help prints, for shells and manual readers. */
#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* ---- bash ------------------------------------------------------------------------------------------------------- */

static void bash_options(void *ctx, const struct cli_command *cmd, const struct cli_option *options) {
  (void)ctx;
  printf("    %s) words=\"--help -h", cmd->name);
  for (const struct cli_option *o = options; o && o->name; o++) {
    printf(" --%s", o->name);
    if (o->letter)
      printf(" -%c", o->letter);
  }
  printf("\" ;;\n");
}

static void print_bash(void) {
  printf("# bash completion of ome; . <(ome completion bash)\n"
         "_ome() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
         "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
         "    COMPREPLY=($(compgen -W \"");
  for (size_t i = 0; cli_commands[i]; i++)
    printf("%s ", cli_commands[i]->name);
  printf("help version\" -- \"$cur\"))\n"
         "    return\n"
         "  fi\n"
         "  case ${COMP_WORDS[1]} in\n");
  for (size_t i = 0; cli_commands[i]; i++)
    cli_describe(cli_commands[i], bash_options, NULL);
  printf("  esac\n"
         "  case $cur in\n"
         "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
         "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
         "  esac\n"
         "}\n"
         "complete -o filenames -F _ome ome kubectl-ome\n");
}

/* ---- zsh -------------------------------------------------------------------------------------------------------- */

/* TEXT inside '...[...]': what zsh would read as syntax is escaped. */
static void zsh_text(const char *text) {
  for (; *text; text++) {
    if (*text == '\'')
      printf("'\\'");
    else if (strchr("[]:\\", *text))
      putchar('\\');
    putchar(*text);
  }
}

static void zsh_options(void *ctx, const struct cli_command *cmd, const struct cli_option *options) {
  (void)ctx;
  printf("    %s) _arguments '--help[show help]'", cmd->name);
  for (const struct cli_option *o = options; o && o->name; o++) {
    printf(" \\\n      '%s--%s[", o->type == CLI_LIST ? "*" : "", o->name);
    zsh_text(o->help);
    printf("]%s%s%s'", o->arg ? ":" : "", o->arg ? o->arg : "", o->arg ? ":_files" : "");
    if (o->letter)
      printf(" '%s-%c[same as --%s]%s'", o->type == CLI_LIST ? "*" : "", o->letter, o->name,
             o->arg ? ":value:_files" : "");
  }
  printf(" '*:file:_files' ;;\n");
}

static void print_zsh(void) {
  printf("#compdef ome kubectl-ome\n# zsh completion of ome; source <(ome completion zsh)\n"
         "_ome() {\n"
         "  if (( CURRENT == 2 )); then\n"
         "    local -a commands=(\n");
  for (size_t i = 0; cli_commands[i]; i++) {
    printf("      '%s:", cli_commands[i]->name);
    zsh_text(cli_commands[i]->summary);
    printf("'\n");
  }
  printf("    )\n"
         "    _describe command commands\n"
         "    return\n"
         "  fi\n"
         "  shift words; (( CURRENT-- ))\n"
         "  case $words[1] in\n");
  for (size_t i = 0; cli_commands[i]; i++)
    cli_describe(cli_commands[i], zsh_options, NULL);
  printf("  esac\n"
         "}\n"
         "compdef _ome ome kubectl-ome\n");
}

/* ---- man -------------------------------------------------------------------------------------------------------- */

/* TEXT with roff's own characters escaped: a backslash, and '.' or "'" at the start of a line. */
static void roff_text(const char *text) {
  for (bool start = true; *text; start = *text == '\n', text++) {
    if (start && (*text == '.' || *text == '\''))
      printf("\\&");
    if (*text == '\\')
      printf("\\e");
    else if (*text == '-')
      printf("\\-");
    else
      putchar(*text);
  }
}

static void roff_options(void *ctx, const struct cli_command *cmd, const struct cli_option *options) {
  (void)ctx, (void)cmd;
  for (const struct cli_option *o = options; o && o->name; o++) {
    printf(".TP\n");
    if (o->letter)
      printf("\\fB\\-%c\\fR, ", o->letter);
    printf("\\fB\\-\\-");
    roff_text(o->name);
    printf("\\fR%s%s\n", o->arg ? " " : "", o->arg ? o->arg : "");
    roff_text(o->help);
    printf("\n");
  }
}

static void print_man(void) {
  printf(".TH OME 1 \"\" \"ome %s\" \"User Commands\"\n.SH NAME\n"
         "ome \\- turn a model into a running, scaled, reachable endpoint\n"
         ".SH SYNOPSIS\n.B ome\n.I COMMAND\n[\\fIOPTIONS\\fR] ...\n.SH COMMANDS\n",
         OME_VERSION);
  for (size_t i = 0; cli_commands[i]; i++) {
    const struct cli_command *c = cli_commands[i];
    printf(".SS ome %s ", c->name);
    roff_text(c->args);
    printf("\n");
    roff_text(c->summary);
    printf(".\n.PP\n.nf\n");
    roff_text(c->help);
    printf("\n.fi\n");
    cli_describe(c, roff_options, NULL);
  }
  printf(".SH EXIT STATUS\n0 on success, 1 on failure, 2 on wrong usage.\n");
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int run(const struct cli_command *self, int argc, char **argv) {
  static const struct {
    const char *name;
    void (*print)(void);
  } formats[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"man", print_man}};
  static const struct cli_option options[] = {{0}};

  if (cli_parse(self, options, argc, argv) != 1)
    return cli_usage(self, "give one of bash, zsh, man");
  for (size_t i = 0; i < ARRAY_LEN(formats); i++)
    if (streq(argv[1], formats[i].name)) {
      formats[i].print();
      return 0;
    }
  return cli_usage(self, "\"%s\" is none of bash, zsh, man", argv[1]);
}

const struct cli_command cli_completion = {
    .name = "completion",
    .args = "bash | zsh | man",
    .summary = "print shell completion, or the manual page",
    .help = "bash, zsh   a script that completes commands and options\n"
            "man         the manual page ome(1), for man(1)\n\n"
            "  . <(ome completion bash)\n"
            "  ome completion man > /usr/local/share/man/man1/ome.1",
    .run = run,
};
