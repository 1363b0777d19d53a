#include "xet.h"

#include "../common/http.h"
#include "xet_chunk.h"
#include "xet_plan.h"
#include "xet_token.h"

#include <ome-sdk/error.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONG_LENGTH "they are not as long as the file needs them"
#define STREAMED ((uint64_t)256 << 10) /* ranges from here on are not kept as a whole */

struct xet {
  const struct ome_host *host;
  struct xet_tokens *tokens;
};

struct xet *xet_new(const struct ome_host *host) {
  struct xet *x = calloc(1, sizeof(*x));

  if (!x)
    return NULL;
  x->host = host;
  x->tokens = xet_tokens_new(host);
  if (x->tokens)
    return x;
  free(x);
  return NULL;
}

void xet_free(struct xet *x) {
  if (!x)
    return;
  xet_tokens_free(x->tokens);
  free(x);
}

/* One call of xet_read(). */
struct reading {
  struct xet *x;
  const struct ome_call *call;
  const struct xet_file *f;
  uint64_t offset, len;
  struct ome_byte_sink *out;
  uint64_t done;                 /* bytes that OUT has */
  struct xet_plan plan;          /* of what OUT has not */
  const struct xet_range *range; /* that BYTES is of; NULL: none.  Terms of one xorb follow each other: fetched once */
  struct http_answer bytes;
  struct xet_decoder *decoder;
  uint64_t skip; /* bytes before what was asked for that are still to come */
  /* A range that goes by: the terms from TERM up to END are made of it, and the next chunk is CHUNK. */
  const struct xet_term *term, *end;
  uint32_t chunk;
  uint64_t unpacked, passed; /* bytes of TERM, of the range */
  uint8_t *piece;            /* a chunk that is not whole yet */
  size_t piece_len, piece_cap;
};

static int32_t corrupt(const struct reading *r, const struct xet_range *range, const char *why, struct ome_err *err) {
  return ome_fail(err, OME_E_CORRUPT,
                  "hf: %.200s: xorb %.16s..., chunks %" PRIu32 " to %" PRIu32
                  ": %s; with `xet: false` the hub sends the "
                  "file as a whole",
                  r->f->name, range->hash, range->start, range->end, why);
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static int32_t ask_plan(struct reading *r, const struct xet_token *token, const char *version, struct http_answer *a,
                        struct ome_err *err) {
  char url[700], range[64];
  const struct ome_kv headers[] = {{"authorization", token->bearer}, {"range", range}};
  const struct ome_http_req req = {.struct_size = sizeof(req), .url = url, .headers = headers, .nheaders = 2};

  (void)snprintf(url, sizeof(url), "%s/%s/reconstructions/%s", token->cas, version, r->f->hash);
  (void)snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, r->offset + r->done, r->offset + r->len - 1);
  return http_perform(r->x->host, r->call, &req, a, err);
}

/* What is left to read, with addresses that were signed just now. */
static int32_t get_plan(struct reading *r, struct ome_err *err) {
  struct http_answer a = {0};
  struct xet_token token;
  char what[300];

  int32_t rc = xet_token_get(r->x->tokens, r->call, r->f, NULL, &token, err);
  if (rc == OME_OK)
    rc = ask_plan(r, &token, "v2", &a, err);
  if (rc == OME_OK && a.status == 401) {
    const struct xet_token refused = token;
    rc = xet_token_get(r->x->tokens, r->call, r->f, &refused, &token, err);
    if (rc == OME_OK)
      rc = ask_plan(r, &token, "v2", &a, err);
  }
  if (rc == OME_OK && (a.status == 404 || a.status == 501)) /* a store of before /v2 */
    rc = ask_plan(r, &token, "v1", &a, err);
  if (rc == OME_OK && a.status != 200 && a.status != 206) {
    (void)snprintf(what, sizeof(what), "hf: %.200s: Xet storage", r->f->name);
    rc = http_refused(&a, what, NULL, NULL, err);
  }
  xet_plan_fini(&r->plan);
  r->range = NULL;
  const char *why = rc == OME_OK ? xet_plan_read(a.body, a.len, &r->plan) : NULL;
  http_answer_fini(&a);
  return why ? ome_fail(err, OME_E_CORRUPT, "hf: %.200s: the answer of Xet storage cannot be used: %s", r->f->name, why)
             : rc;
}

/* ---- xorbs ------------------------------------------------------------------------------------------------------- */

static uint64_t range_bytes(const struct xet_range *range) {
  return range->last - range->first + 1;
}

/* Asks for RANGE, to TAKE where there is one and else into r->bytes.  *EXPIRED is set where the address was signed too
 * long ago. */
static int32_t ask(struct reading *r, const struct xet_range *range, http_take *take, int *expired,
                   struct ome_err *err) {
  char bytes[64], what[300];
  const struct ome_kv headers[] = {{"range", bytes}};
  const struct ome_http_req req = {
      .struct_size = sizeof(req), .url = range->url, .headers = headers, .nheaders = 1, .max_body = range_bytes(range)};

  *expired = 0;
  r->range = NULL;
  (void)snprintf(bytes, sizeof(bytes), "bytes=%" PRIu64 "-%" PRIu64, range->first, range->last);
  int32_t rc = take ? http_perform_to(r->x->host, r->call, &req, &r->bytes, take, r, err)
                    : http_perform(r->x->host, r->call, &req, &r->bytes, err);
  if (rc != OME_OK)
    return rc;
  if (r->bytes.status != 206 && !(r->bytes.status == 200 && range->first == 0)) {
    *expired = r->bytes.status == 401 || r->bytes.status == 403;
    (void)snprintf(what, sizeof(what), "hf: %.200s: xorb %.16s...", r->f->name, range->hash);
    return http_refused(&r->bytes, what, NULL, "its signed address does not do; try again later", err);
  }
  return OME_OK;
}

static int32_t fetch(struct reading *r, const struct xet_range *range, int *expired, struct ome_err *err) {
  if (r->range == range)
    return OME_OK;
  int32_t rc = ask(r, range, NULL, expired, err);
  if (rc != OME_OK)
    return rc;
  if (r->bytes.len != range_bytes(range))
    return corrupt(r, range, "not all of them came", err);
  r->range = range;
  return OME_OK;
}

/* Hands over what was asked for of LEN bytes of content. */
static int32_t hand_over(struct reading *r, const uint8_t *content, size_t len, struct ome_err *err) {
  size_t before = r->skip < len ? (size_t)r->skip : len;
  uint64_t left = r->len - r->done;
  uint64_t n = len - before < left ? len - before : left;

  r->skip -= before;
  int32_t rc = n ? r->out->write(r->out, content + before, n) : OME_OK;
  if (rc != OME_OK)
    return ome_fail(err, rc, "hf: %.200s: the host did not take the bytes", r->f->name);
  r->done += n;
  return OME_OK;
}

/* Chunks of the range in r->bytes that T is made of. */
static int32_t unpack(struct reading *r, const struct xet_term *t, struct ome_err *err) {
  const uint8_t *at = (const uint8_t *)r->bytes.body;
  size_t left = r->bytes.len, size = 0;
  uint64_t unpacked = 0;

  for (uint32_t i = t->range->start; i < t->end; i++, at += size, left -= size) {
    struct xet_chunk chunk;
    const uint8_t *content = NULL;
    const char *why = xet_chunk_parse(at, left, &chunk, &size);
    if (!why && i >= t->start)
      why = xet_decode(r->decoder, &chunk, &content);
    if (why)
      return corrupt(r, t->range, why, err);
    if (i < t->start)
      continue;
    unpacked += chunk.unpacked;
    int32_t rc = hand_over(r, content, chunk.unpacked, err);
    if (rc != OME_OK)
      return rc;
  }
  return unpacked == t->unpacked ? OME_OK : corrupt(r, t->range, WRONG_LENGTH, err);
}

/* ---- xorbs that go by -------------------------------------------------------------------------------------------- */

/* One whole chunk of the range. */
static int32_t pass_chunk(struct reading *r, const struct xet_chunk *chunk, struct ome_err *err) {
  const uint8_t *content = NULL;
  uint32_t i = r->chunk++;

  if (r->term == r->end || i < r->term->start)
    return OME_OK;
  const char *why = xet_decode(r->decoder, chunk, &content);
  if (why)
    return corrupt(r, r->term->range, why, err);
  int32_t rc = hand_over(r, content, chunk->unpacked, err);
  r->unpacked += chunk->unpacked;
  if (rc != OME_OK || r->chunk < r->term->end)
    return rc;
  bool right = r->unpacked == r->term->unpacked;
  r->unpacked = 0;
  return right ? (r->term++, OME_OK) : corrupt(r, r->term->range, WRONG_LENGTH, err);
}

/* The chunks that LEN bytes hold as a whole; *USED are theirs. */
static int32_t pass_chunks(struct reading *r, const uint8_t *data, size_t len, size_t *used, struct ome_err *err) {
  const struct xet_range *range = r->end[-1].range;
  int32_t rc = OME_OK;

  for (*used = 0; rc == OME_OK && r->chunk < range->end;) {
    struct xet_chunk chunk;
    size_t size = 0;
    const char *why = xet_chunk_parse(data + *used, len - *used, &chunk, &size);
    if (why && xet_chunk_is_cut(data + *used, len - *used))
      return OME_OK;
    rc = why ? corrupt(r, range, why, err) : pass_chunk(r, &chunk, err);
    *used += size;
  }
  return rc;
}

static int32_t keep_piece(struct reading *r, const uint8_t *data, size_t len, struct ome_err *err) {
  if (r->piece_len + len > r->piece_cap) {
    uint8_t *grown = realloc(r->piece, r->piece_len + len);
    if (!grown)
      return ome_fail(err, OME_E_NO_MEMORY, "hf: out of memory");
    r->piece = grown;
    r->piece_cap = r->piece_len + len;
  }
  memcpy(r->piece + r->piece_len, data, len);
  r->piece_len += len;
  return OME_OK;
}

/* What has come of a range: whole chunks go on, the rest is kept until there is more. */
static int32_t pass(void *arg, const void *data, size_t len, struct ome_err *err) {
  struct reading *r = arg;
  size_t used = 0;

  r->passed += len;
  int32_t rc = keep_piece(r, data, len, err);
  if (rc == OME_OK)
    rc = pass_chunks(r, r->piece, r->piece_len, &used, err);
  if (rc != OME_OK)
    return rc;
  r->piece_len -= used;
  memmove(r->piece, r->piece + used, r->piece_len);
  return OME_OK;
}

/* Terms from FIRST to before END, of one range and in its order: nothing of it is kept. */
static int32_t stream(struct reading *r, const struct xet_term *first, const struct xet_term *end, int *expired,
                      struct ome_err *err) {
  r->term = first;
  r->end = end;
  r->chunk = first->range->start;
  r->unpacked = r->passed = r->piece_len = 0;
  int32_t rc = ask(r, first->range, pass, expired, err);
  if (rc == OME_OK && (r->passed != range_bytes(first->range) || r->term != end))
    rc = corrupt(r, first->range, "not all of them came", err);
  return rc;
}

/* Where the terms end that are of T's range and follow each other in it; T where they go back and forth. */
static const struct xet_term *in_order(const struct xet_term *t, const struct xet_term *last) {
  const struct xet_term *end = t + 1;

  while (end < last && end->range == t->range && end->start >= end[-1].end)
    end++;
  return end < last && end->range == t->range ? t : end;
}

/* Every term of the plan.  *EXPIRED: another plan is needed for what is left. */
static int32_t read_terms(struct reading *r, int *expired, struct ome_err *err) {
  const struct xet_term *t = r->plan.terms, *last = t + r->plan.nterms;
  int32_t rc = OME_OK;

  r->skip = r->plan.skip;
  while (rc == OME_OK && t < last && r->done < r->len) {
    const struct xet_term *end = r->range == t->range || range_bytes(t->range) < STREAMED ? t : in_order(t, last);
    if (end > t) {
      rc = stream(r, t, end, expired, err);
      t = end;
      continue;
    }
    rc = fetch(r, t->range, expired, err);
    if (rc == OME_OK)
      rc = unpack(r, t++, err);
  }
  return rc;
}

int32_t xet_read(struct xet *x, const struct ome_call *call, const struct xet_file *f, uint64_t offset, uint64_t len,
                 struct ome_byte_sink *out, struct ome_err *err) {
  struct reading r = {.x = x, .call = call, .f = f, .offset = offset, .len = len, .out = out};
  uint64_t before;
  int expired = 0;

  if (len == 0)
    return OME_OK;
  r.decoder = xet_decoder_new();
  int32_t rc = r.decoder ? OME_OK : ome_fail(err, OME_E_NO_MEMORY, "hf: out of memory");
  do { /* again where an address ran out, once for each that did not bring anything */
    before = r.done;
    int again = expired;
    rc = rc == OME_OK || expired ? get_plan(&r, err) : rc;
    expired = 0;
    if (rc == OME_OK)
      rc = read_terms(&r, &expired, err);
    if (again && r.done == before)
      break;
  } while (expired);
  if (rc == OME_OK && r.done < len)
    rc = ome_fail(err, OME_E_CORRUPT, "hf: %.200s: Xet storage has less of it than the hub says", f->name);
  xet_plan_fini(&r.plan);
  http_answer_fini(&r.bytes);
  xet_decoder_free(r.decoder);
  free(r.piece);
  return rc;
}
