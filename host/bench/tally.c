#include "bench/run.h"

#include <string.h>

const char *run_error_name(enum run_error e) {
  static const char *const names[RUN_ERRORS] = {
      [RUN_OK] = "ok",
      [RUN_CONNECTION] = "connection",
      [RUN_TIMEOUT] = "timeout",
      [RUN_STALL] = "stall",
      [RUN_CLOSED] = "closed",
      [RUN_MALFORMED] = "malformed",
      [RUN_TOO_LONG] = "too-long",
      [RUN_EMPTY] = "empty",
      [RUN_API] = "api",
      [RUN_RATE_LIMITED] = "rate-limited",
      [RUN_CLIENT] = "client",
      [RUN_SERVER] = "server",
  };

  return names[e];
}

void run_fini(struct run *r) {
  histogram_fini(&r->ttft);
  histogram_fini(&r->tpot);
  histogram_fini(&r->itl);
  histogram_fini(&r->e2e);
  histogram_fini(&r->late);
  histogram_fini(&r->connect);
  VEC_FREE(&r->records);
}

/* ---- the timeline ------------------------------------------------------------------------------------------------ */

static void add_slot(struct run_slot *to, const struct run_slot *from) {
  to->completed += from->completed;
  to->failed += from->failed;
  to->tokens += from->tokens;
  to->active = from->active > to->active ? from->active : to->active;
  to->ttft_ms_sum += from->ttft_ms_sum;
  to->ttft_count += from->ttft_count;
}

/* Twice as long slots, half as many. */
static void halve(struct run *r) {
  for (uint32_t i = 0; i < RUN_MAX_SLOTS; i++) {
    struct run_slot s = r->slots[i];
    memset(&r->slots[i], 0, sizeof(s));
    add_slot(&r->slots[i / 2], &s);
  }
  r->slot_seconds *= 2;
  r->nslots = (r->nslots + 1) / 2;
}

static struct run_slot *slot_at(struct run *r, uint64_t ns) {
  double at = (double)ns / 1e9;

  if (r->slot_seconds <= 0)
    r->slot_seconds = 0.25;
  while (at >= r->slot_seconds * RUN_MAX_SLOTS)
    halve(r);
  uint32_t i = (uint32_t)(at / r->slot_seconds);
  i = i < RUN_MAX_SLOTS ? i : RUN_MAX_SLOTS - 1;
  r->nslots = i + 1 > r->nslots ? i + 1 : r->nslots;
  return &r->slots[i];
}

void run_tally_tokens(struct run *r, uint64_t now_ns, uint32_t n, uint32_t active) {
  struct run_slot *s = slot_at(r, now_ns);

  s->tokens += n;
  s->active = active > s->active ? active : s->active;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static uint64_t between(uint64_t from, uint64_t to) {
  return to > from ? to - from : 0;
}

static double ms(uint64_t ns) {
  return (double)ns / 1e6;
}

/* Time per output token after the first; 0: there is no other. */
static uint64_t per_token(const struct run_outcome *o) {
  return o->first_ns && o->output_tokens > 1 ? between(o->first_ns, o->last_ns) / (o->output_tokens - 1) : 0;
}

static void tally_success(struct run *r, const struct run_outcome *o, struct run_slot *slot) {
  r->completed++;
  r->input_tokens += o->input_tokens;
  r->output_tokens += o->output_tokens;
  r->counted[o->source]++;
  slot->completed++;
  histogram_add(&r->e2e, between(o->intended_ns, o->end_ns));
  if (!o->first_ns)
    return;
  histogram_add(&r->ttft, between(o->intended_ns, o->first_ns));
  slot->ttft_ms_sum += ms(between(o->intended_ns, o->first_ns));
  slot->ttft_count++;
  if (o->output_tokens > 1)
    histogram_add(&r->tpot, per_token(o));
}

void run_tally(struct run *r, const struct run_outcome *o) {
  struct run_record record = {
      .start_s = (double)between(o->start_ns, o->intended_ns) / 1e9,
      .ttft_ms = o->first_ns ? ms(between(o->intended_ns, o->first_ns)) : 0,
      .e2e_ms = ms(between(o->intended_ns, o->end_ns)),
      .tpot_ms = ms(per_token(o)),
      .input_tokens = (uint32_t)o->input_tokens,
      .output_tokens = (uint32_t)o->output_tokens,
      .status = o->status,
      .error = (uint8_t)o->error,
  };

  if (o->cut) {
    r->cut++;
    r->partial = true;
    return;
  }
  r->requests++;
  histogram_add(&r->late, between(o->due_ns, o->sent_ns));
  if (o->connect_ns)
    histogram_add(&r->connect, o->connect_ns);
  struct run_slot *slot = slot_at(r, between(o->start_ns, o->end_ns));
  if (o->error == RUN_OK) {
    tally_success(r, o, slot);
  } else {
    r->errors[o->error]++;
    slot->failed++;
  }
  if (r->records.len < RUN_MAX_RECORDS)
    (void)VEC_PUSH(&r->records, record);
}

void run_merge(struct run *into, const struct run *from) {
  into->requests += from->requests;
  into->completed += from->completed;
  for (int i = 0; i < RUN_ERRORS; i++) {
    if (!into->errors[i])
      memcpy(into->error_text[i], from->error_text[i], sizeof(into->error_text[i]));
    into->errors[i] += from->errors[i];
  }
  into->cut += from->cut;
  into->unsent += from->unsent;
  into->input_tokens += from->input_tokens;
  into->output_tokens += from->output_tokens;
  for (int i = 0; i < TOKENS_SOURCES; i++)
    into->counted[i] += from->counted[i];
  into->seconds += from->seconds;
  histogram_merge(&into->ttft, &from->ttft);
  histogram_merge(&into->tpot, &from->tpot);
  histogram_merge(&into->itl, &from->itl);
  histogram_merge(&into->e2e, &from->e2e);
  histogram_merge(&into->late, &from->late);
  histogram_merge(&into->connect, &from->connect);
  for (size_t i = 0; i < from->records.len && into->records.len < RUN_MAX_RECORDS; i++)
    (void)VEC_PUSH(&into->records, from->records.items[i]);
  into->partial |= from->partial;
}
