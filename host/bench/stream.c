/* One request: timed as its bytes come, ended one way or another. */
#include "base/clock.h"
#include "base/str.h"
#include "bench/drive.h"
#include "tokens/cut.h"
#include "tokens/tokenizer.h"

#include <stdio.h>
#include <string.h>

#define REST_NS 50000000u     /* a closed loop's stream waits after a failure: refusals come fast */
#define ERROR_TEXT_BYTES 512u /* kept of an answer that is an error */

static bool is_closed_loop(const struct stream *s) {
  return s->d->load->arrival.kind == ARRIVAL_CLOSED;
}

/* ---- an answer arrives ------------------------------------------------------------------------------------------- */

static void note_error(struct stream *s, enum run_error e, const char *text) {
  char *to = s->d->run->error_text[e];

  if (*to || !s->counts)
    return;
  (void)snprintf(to, sizeof(s->d->run->error_text[e]), "%.190s", text);
  for (char *p = to; *p; p++)
    *p = (unsigned char)*p < ' ' || (unsigned char)*p > 126 ? ' ' : *p;
}

static bool give_up(struct stream *s, enum run_error e, const char *text) {
  s->error = e;
  note_error(s, e, text);
  return false;
}

/* In a closed loop nobody wanted the request earlier: what it waited for a connection is a figure of its own. */
static void on_send(void *arg, bool fresh) {
  struct stream *s = arg;

  if (s->sent_ns)
    return; /* sent anew, on another connection: the server's doing */
  s->sent_ns = mono_ns();
  s->connect_ns = fresh ? s->sent_ns - s->end_ns : 0;
  if (is_closed_loop(s))
    s->from_ns = s->sent_ns;
}

static bool on_head(void *arg, int status, const char *headers, UNUSED const char *url) {
  struct stream *s = arg;
  char type[128];

  bool json = http_headers_get(headers, "content-type", type, sizeof(type)) && strstr(type, "json");
  s->status = status;
  s->events = s->d->target->stream && status == 200 && !json;
  return true;
}

static void take_text(struct stream *s) {
  struct run *run = s->d->run;

  if (s->first_ns && s->counts)
    histogram_add(&run->itl, s->end_ns - s->last_ns);
  if (!s->first_ns)
    s->first_ns = s->end_ns;
  s->last_ns = s->end_ns;
  s->heard_ns = s->end_ns;
  if (s->counts)
    run_tally_tokens(run, s->end_ns - s->d->start_ns, 1, s->d->active);
}

static bool on_event(void *arg, const char *data, size_t len) {
  struct stream *s = arg;

  switch (answer_take(&s->answer, data, len)) {
  case ANSWER_TEXT:
    take_text(s);
    return true;
  case ANSWER_ERROR:
    return give_up(s, RUN_API, data);
  case ANSWER_BAD:
    return give_up(s, RUN_MALFORMED, data);
  default:
    return true;
  }
}

/* When the bytes had come: before whatever this thread, or this machine, did since. */
static uint64_t arrival_ns(const struct stream *s) {
  uint64_t came = http_client_arrival_ns(s->d->http);

  return came > s->sent_ns && came >= s->end_ns ? came : mono_ns();
}

static bool on_body(void *arg, const void *data, size_t len) {
  struct ome_err err = ERR_INIT;
  struct stream *s = arg;

  s->end_ns = arrival_ns(s);
  if (s->events) {
    int32_t rc = sse_feed(&s->sse, data, len, on_event, s, &err);
    return rc == OME_OK || (s->error == RUN_OK && give_up(s, RUN_TOO_LONG, err.msg));
  }
  if (s->status == 200) {
    buf_add(&s->body, data, len);
    return buf_ok(&s->body) || give_up(s, RUN_TOO_LONG, "the answer is longer than 8 MiB");
  }
  if (s->body.len < ERROR_TEXT_BYTES)
    buf_add(&s->body, data, len < ERROR_TEXT_BYTES ? len : ERROR_TEXT_BYTES);
  return true;
}

/* ---- an answer has ended ----------------------------------------------------------------------------------------- */

static enum run_error error_of_status(int status) {
  return status == 429 ? RUN_RATE_LIMITED : status >= 500 ? RUN_SERVER : RUN_CLIENT;
}

/* A whole answer that came at once. */
static enum run_error judge_body(struct stream *s) {
  const struct task_facts *facts = task_facts(s->d->target->task);
  enum answer_kind kind = answer_take(&s->answer, buf_str(&s->body), s->body.len);

  if (kind == ANSWER_BAD)
    return RUN_MALFORMED;
  if (kind == ANSWER_ERROR)
    return RUN_API;
  bool there = facts->generates ? s->answer.pieces || s->answer.completion_tokens : s->answer.results;
  return there ? RUN_OK : RUN_EMPTY;
}

static enum run_error judge(struct stream *s, int32_t rc) {
  if (s->error != RUN_OK)
    return s->error;
  if (rc == OME_E_DEADLINE)
    return RUN_TIMEOUT;
  if (rc != OME_OK)
    return s->status ? RUN_CLOSED : RUN_CONNECTION;
  if (s->status != 200)
    return error_of_status(s->status);
  if (!s->events)
    return judge_body(s);
  if (s->sse.events == 0)
    return RUN_MALFORMED;
  if (!s->answer.ended)
    return RUN_CLOSED;
  return s->answer.pieces || s->answer.completion_tokens ? RUN_OK : RUN_EMPTY;
}

/* The sentence for a failure that nobody has put into words yet. */
static void explain(struct stream *s, enum run_error e, const struct ome_err *err) {
  char text[200];

  if (s->status && s->status != 200) {
    (void)snprintf(text, sizeof(text), "HTTP %d: %.150s", s->status, buf_str(&s->body));
    note_error(s, e, text);
  } else if (*err->msg && err->code != OME_E_CANCELLED) {
    note_error(s, e, err->msg);
  } else if (e == RUN_CLOSED) {
    note_error(s, e, "the stream ended without a finish_reason or [DONE]");
  } else {
    note_error(s, e, s->body.len ? buf_str(&s->body) : "the answer has no events and no text");
  }
}

/* What the model wrote, in tokens; false: it is not to be counted. */
static bool count_written(struct stream *s, uint64_t *out) {
  struct tokenizer *t = s->d->target->tokenizer;
  _cleanup_buf_ struct buf text = BUF_INIT;
  struct ome_err ignored = ERR_INIT;

  return t && buf_ok(&s->written) && cut_unescape(buf_str(&s->written), s->written.len, &text) &&
         tokenizer_count(t, buf_str(&text), text.len, out, &ignored) == OME_OK;
}

/* The server's own numbers, else ours. */
static void set_tokens(struct stream *s, struct run_outcome *o) {
  o->source = s->answer.has_usage ? TOKENS_USAGE : TOKENS_PIECES;
  o->input_tokens = s->answer.prompt_tokens ? s->answer.prompt_tokens : s->prompt_tokens;
  o->output_tokens = s->answer.has_usage ? s->answer.completion_tokens : s->answer.pieces;
  if (!s->answer.has_usage && o->error == RUN_OK && count_written(s, &o->output_tokens))
    o->source = TOKENS_COUNTED;
  if (!task_facts(s->d->target->task)->generates)
    o->output_tokens = 0;
}

static void settle(struct stream *s, int32_t rc, const struct ome_err *err) {
  struct drive *d = s->d;
  enum run_error e = judge(s, rc);
  struct run_outcome o = {.error = e,
                          .status = (uint16_t)s->status,
                          .cut = s->cut,
                          .start_ns = d->start_ns,
                          .due_ns = s->due_ns,
                          .intended_ns = s->from_ns,
                          .sent_ns = s->sent_ns,
                          .connect_ns = s->connect_ns,
                          .first_ns = s->first_ns,
                          .last_ns = s->last_ns,
                          .end_ns = e == RUN_OK ? s->end_ns : mono_ns()};

  set_tokens(s, &o);
  conversation_end_turn(&s->talk, e == RUN_OK, o.output_tokens);
  s->rest_until_ns = e != RUN_OK && is_closed_loop(s) ? mono_ns() + REST_NS : 0;
  if (!s->counts)
    return;
  if (e != RUN_OK && !s->cut)
    explain(s, e, err);
  if (!s->events && e == RUN_OK)
    run_tally_tokens(d->run, o.end_ns - d->start_ns, (uint32_t)o.output_tokens, d->active);
  run_tally(d->run, &o);
}

static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct stream *s = arg;

  s->fetch = NULL;
  settle(s, rc, err);
  drive_ended(s);
}

static const struct http_fetch_ops stream_ops = {
    .on_send = on_send, .on_head = on_head, .on_body = on_body, .on_done = on_done};

/* ---- a request is sent ------------------------------------------------------------------------------------------- */

static void begin(struct stream *s, uint64_t due_ns, bool counts) {
  sse_reset(&s->sse);
  buf_clear(&s->body);
  buf_clear(&s->written);
  s->answer = (struct answer){.text = s->talk.wanted > 1 ? &s->talk.answer : NULL,
                              .all = s->d->target->tokenizer ? &s->written : NULL};
  s->counts = counts;
  s->due_ns = s->from_ns = due_ns;
  s->sent_ns = s->first_ns = s->last_ns = s->connect_ns = 0;
  s->heard_ns = 0;
  s->end_ns = mono_ns(); /* handed over */
  s->status = 0;
  s->events = s->cut = false;
  s->error = RUN_OK;
}

void run_stream_start(struct stream *s, uint64_t due_ns, bool counts) {
  struct drive *d = s->d;
  struct sample sample = {0};

  if (d->load->has_scenario)
    scenario_sample(&d->load->scenario, &d->random, &sample);
  buf_clear(&d->request);
  s->prompt_tokens = request_body(d->source, &sample, &s->talk, &d->request);
  const struct http_request request = {
      .method = "POST",
      .url = d->target->url,
      .headers = d->target->headers,
      .body = buf_str(&d->request),
      .body_len = d->request.len,
      .timeout_ms = (uint32_t)d->target->timeout_ms,
      .stall_timeout_ms = UINT32_MAX, /* looked for by the drive, to a tenth of a second */
  };
  begin(s, due_ns, counts);
  s->fetch = buf_ok(&d->request) ? http_fetch_start(d->http, &request, &stream_ops, s) : NULL;
  if (!s->fetch) {
    struct ome_err err = ERR_INIT;
    (void)fail_memory(&err);
    on_done(s, OME_E_NO_MEMORY, &err);
  }
}

void run_stream_abort(struct stream *s, enum run_error e, const char *text) {
  (void)give_up(s, e, text);
  http_fetch_cancel(s->fetch);
}

void run_stream_cut(struct stream *s) {
  s->cut = true;
  http_fetch_cancel(s->fetch);
}

void run_stream_init(struct stream *s, struct drive *d) {
  s->d = d;
  sse_init(&s->sse);
  buf_init(&s->body, RUN_MAX_ANSWER);
  buf_init(&s->written, RUN_MAX_ANSWER);
  conversation_init(&s->talk, d->load->turns);
}

void run_stream_fini(struct stream *s) {
  sse_fini(&s->sse);
  buf_fini(&s->body);
  buf_fini(&s->written);
  conversation_fini(&s->talk);
}
