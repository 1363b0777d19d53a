/* The words of an expression (cel-spec langdef, Syntax). */
#ifndef HOST_CEL_LEX_H
#define HOST_CEL_LEX_H

#include "cel/internal.h"

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_INT, TOKEN_UINT, TOKEN_DOUBLE, TOKEN_STRING, TOKEN_BYTES, TOKEN_SIGN };

struct token {
  enum token_kind kind;
  const char *ptr; /* in the text */
  size_t len;
  struct cel_value value; /* of literals */
};

struct lexer {
  const char *text, *at;
  struct arena *arena; /* where the content of strings goes */
  struct token now;
};

/* Reads the next token into L->now. */
int32_t lex_next(struct lexer *l, struct ome_err *err);
/* Whether the current token is the sign or name TEXT. */
bool lex_is(const struct lexer *l, const char *text);
int32_t lex_fail(const struct lexer *l, struct ome_err *err, const char *what);

#endif
