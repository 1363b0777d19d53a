/* What the files of the room share: values, the tree, the library. */
#ifndef HOST_CEL_INTERNAL_H
#define HOST_CEL_INTERNAL_H

#include "base/arena.h"
#include "cel/cel.h"

#include <stdint.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

struct cel_text {
  const char *ptr;
  size_t len;
};

/* By kind: lists and maps are either JSON (borrowed, with the type of what they hold) or made by the expression. */
struct cel_value {
  enum cel_kind kind;
  union {
    bool truth;
    int64_t i; /* also durations and timestamps, in nanoseconds */
    uint64_t u;
    double d;
    struct cel_text text; /* strings, bytes, the name of a type, the message of an error */
    struct {
      struct json_object *json; /* NULL: made */
      const struct cel_value *items;
      const struct cel_value *keys; /* of maps */
      size_t n;
    } seq;
  };
  struct cel_type elem; /* of JSON sequences */
};

struct eval;

struct cel_value value_error(struct eval *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* O as TYPE says: a string of format date-time is a timestamp, 1 in a field of numbers is a double. */
struct cel_value value_of_json(struct eval *e, struct json_object *o, const struct cel_type *type);
bool value_equal(struct eval *e, const struct cel_value *a, const struct cel_value *b);
/* -1, 0, 1; *OK false: not to be compared. */
int value_compare(const struct cel_value *a, const struct cel_value *b, bool *ok);
size_t value_size(const struct cel_value *v); /* of lists and maps */
struct cel_value value_at(struct eval *e, const struct cel_value *list, size_t i);
/* The value of KEY; false: there is none. */
bool value_get(struct eval *e, const struct cel_value *map, const struct cel_value *key, struct cel_value *out);
/* All keys, value_size() of them; NULL: no room. */
const struct cel_value *value_keys(struct eval *e, const struct cel_value *map);
const char *kind_name(enum cel_kind k);

/* One evaluation. */
struct eval {
  struct arena arena;
  const struct cel_schema_ops *ops;
  uint32_t steps; /* left */
};
/* False when the work has become too much. */
bool eval_step(struct eval *e, size_t n);

static inline struct cel_value value_bool(bool b) {
  return (struct cel_value){.kind = CEL_BOOL, .truth = b};
}
static inline struct cel_value value_int(int64_t i) {
  return (struct cel_value){.kind = CEL_INT, .i = i};
}
static inline struct cel_value value_text(enum cel_kind kind, const char *ptr, size_t len) {
  return (struct cel_value){.kind = kind, .text = {ptr, len}};
}

/* ---- the library ------------------------------------------------------------------------------------------------- */

#define MAX_ARGS 4

/* One overload.  SIGNATURE: kinds of the arguments (a receiver first), ':' and that of the result; see kind_letters. */
struct function {
  const char *name;
  const char *signature;
  bool receiver; /* called as a.name(b) */
  struct cel_value (*call)(struct eval *e, const struct cel_value *args);
};
/* The N-th overload of the library; NULL beyond the last. */
const struct function *function_at(size_t n);

bool kind_fits(char letter, enum cel_kind kind);
enum cel_kind kind_of_letter(char letter);

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

enum node_kind {
  NODE_LITERAL,
  NODE_VARIABLE,
  NODE_SELECT, /* args[0].name; with TEST: has(args[0].name) */
  NODE_CALL,   /* a function or operator of the library */
  NODE_AND,
  NODE_OR,
  NODE_COND,
  NODE_LIST,
  NODE_MAP,  /* key, value, key, value */
  NODE_LOOP, /* a macro: args[0] the range, args[1] what is asked of each, args[2] (map with filter) what it becomes */
};

enum loop { LOOP_ALL, LOOP_EXISTS, LOOP_EXISTS_ONE, LOOP_MAP, LOOP_FILTER };

enum { VARIABLE_SELF, VARIABLE_OLD, VARIABLE_LOCAL };
#define MAX_VARIABLES 16 /* loops in loops */

struct node {
  enum node_kind kind;
  uint32_t at; /* byte in the text, for messages */
  struct cel_type type;
  const char *name; /* of a field, variable or function */
  struct cel_value value;
  struct node **args;
  uint32_t nargs;
  uint32_t variable; /* VARIABLE, LOOP: its slot */
  enum loop loop;
  bool test, receiver;
};

struct cel_program {
  struct arena arena;
  struct node *root;
  struct cel_type self;
  const struct cel_schema_ops *ops;
  bool uses_old;
  bool scoped; /* names are fields of self */
};

/* Text to tree; the nodes are in the program's arena. */
int32_t cel_parse(struct cel_program *p, const char *text, struct ome_err *err);
/* Gives every node its type. */
int32_t cel_check(struct cel_program *p, struct ome_err *err);

#endif
