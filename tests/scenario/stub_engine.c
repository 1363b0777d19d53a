/* An inference server that computes nothing: it answers the OpenAI API with tokens at fixed times, and says afterwards
 * what it did and when.  For tests and measurements of `ome bench`.
 *
 *   stub_engine PORT-FILE TTFT-MS ITL-MS [PORT]
 *
 * A request's "model" chooses how it goes wrong: never (no answer), stall (after the third token), malformed (no JSON
 * in the fourth event), noise (no events at all), close (the connection, after the third token), short (ends without
 * finish_reason), limit (429), broken (500), refuse (400), inside (200, and an error in the stream), silent (a stream
 * without tokens), half (every other request is answered 500), nousage (tokens are not counted).  Any other: well.
 * GET /v1/models names "stub"; /health is fine.  GET /stats: {requests, answered, tokens, promptTokens, peak, ttftMs,
 * gapMs, auth}. */
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "net/http_server.h"
#include "os/file.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { MAX_STREAMS = 8192 };

struct reply {
  struct http_exchange *x;
  char model[32];
  uint64_t came_ns, last_ns, next_ns;
  uint64_t sent, wanted, prompt;
  bool chat, usage, gone;
};

struct stub {
  struct loop *loop;
  struct http_server *server;
  struct reply *replies[MAX_STREAMS];
  size_t n, peak;
  uint64_t ttft_ns, itl_ns;
  uint64_t requests, answered, tokens, prompt_tokens, auth;
  uint64_t ttft_sum, ttfts, gap_sum, gaps;
};

static struct stub stub;

static void write_event(struct http_exchange *x, const char *data) {
  char text[512];
  int n = snprintf(text, sizeof(text), "data: %s\n\n", data);

  http_respond_write(x, text, (size_t)n);
}

static void write_usage(struct reply *r) {
  char text[256];

  (void)snprintf(text, sizeof(text),
                 "{\"choices\":[],\"usage\":{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu}}",
                 (unsigned long long)r->prompt, (unsigned long long)r->sent, (unsigned long long)(r->prompt + r->sent));
  write_event(r->x, text);
}

static void end_reply(struct reply *r) {
  if (!streq(r->model, "short"))
    write_event(r->x, "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}");
  if (r->usage && !streq(r->model, "nousage"))
    write_usage(r);
  if (!streq(r->model, "short"))
    write_event(r->x, "[DONE]");
  stub.answered++;
  http_respond_end(r->x);
  r->gone = true;
}

/* Whether the fault of the reply's model has come, and was acted upon. */
static bool act_up(struct reply *r) {
  if (streq(r->model, "stall") && r->sent == 3) {
    r->next_ns = UINT64_MAX;
    return true;
  }
  if (streq(r->model, "close") && r->sent == 3) {
    http_abort(r->x);
    r->gone = true;
    return true;
  }
  if (streq(r->model, "malformed") && r->sent == 3)
    write_event(r->x, "{\"choices\":[{\"delta\":");
  if (streq(r->model, "inside") && r->sent == 1)
    write_event(r->x, "{\"error\":{\"message\":\"the model ran out of memory\"}}");
  if (streq(r->model, "noise") && r->sent == 0) {
    static const char text[] = "this is not an event stream\nnor is this\n\n";
    http_respond_write(r->x, text, sizeof(text) - 1);
    http_respond_end(r->x);
    r->gone = true;
    return true;
  }
  return false;
}

static void send_token(struct reply *r, uint64_t now) {
  char text[160];

  if (act_up(r))
    return;
  if (r->sent == r->wanted || streq(r->model, "silent")) {
    end_reply(r);
    return;
  }
  (void)snprintf(
      text, sizeof(text),
      r->chat ? "{\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" w%llu\"},"
                "\"finish_reason\":null}]}"
              : "{\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\" w%llu\"}]}",
      (unsigned long long)r->sent);
  write_event(r->x, text);
  if (r->sent++ == 0) {
    stub.ttft_sum += now - r->came_ns;
    stub.ttfts++;
  } else {
    stub.gap_sum += now - r->last_ns;
    stub.gaps++;
  }
  stub.tokens++;
  r->last_ns = now;
  r->next_ns += stub.itl_ns;
  if (r->sent == r->wanted)
    end_reply(r);
}

static void tick(void *arg) {
  (void)arg;
  for (size_t i = 0; i < stub.n; i++) {
    struct reply *r = stub.replies[i];
    uint64_t now = mono_ns();
    if (!r->gone && now >= r->next_ns)
      send_token(r, now);
    if (r->gone) {
      free(r);
      stub.replies[i--] = stub.replies[--stub.n];
    }
  }
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void on_close(void *arg, struct http_exchange *x) {
  struct reply *r = http_user(x);

  (void)arg;
  r->gone = true;
}

static void answer_json(struct http_exchange *x, int status, struct json_object *o) {
  _cleanup_free_ char *text = json_text(o);

  json_unref(o);
  http_respond(x, status, "application/json", text ? text : "", text ? strlen(text) : 0);
}

static void answer_stats(struct http_exchange *x) {
  struct json_object *o = json_object_new_object();

  (void)json_set_i64(o, "requests", (int64_t)stub.requests);
  (void)json_set_i64(o, "answered", (int64_t)stub.answered);
  (void)json_set_i64(o, "tokens", (int64_t)stub.tokens);
  (void)json_set_i64(o, "promptTokens", (int64_t)stub.prompt_tokens);
  (void)json_set_i64(o, "peak", (int64_t)stub.peak);
  (void)json_set_i64(o, "auth", (int64_t)stub.auth);
  (void)json_set(o, "ttftMs",
                 json_object_new_double(stub.ttfts ? (double)stub.ttft_sum / 1e6 / (double)stub.ttfts : 0));
  (void)json_set(o, "gapMs", json_object_new_double(stub.gaps ? (double)stub.gap_sum / 1e6 / (double)stub.gaps : 0));
  answer_json(x, 200, o);
}

static uint64_t count_words(const char *text) {
  uint64_t n = 0;

  for (; *text; text++)
    n += *text == ' ';
  return n;
}

/* Words in whatever the prompt is. */
static uint64_t count_prompt(struct json_object *o) {
  uint64_t n = 0;

  if (json_is(o, json_type_string))
    return count_words(json_object_get_string(o));
  for (size_t i = 0; i < json_len(o); i++) {
    struct json_object *one = json_index(o, i);
    n += json_is(one, json_type_object)
             ? count_prompt(json_get(one, "content")) + count_words(json_str(one, "text", ""))
             : count_prompt(one);
  }
  return n;
}

static uint64_t prompt_of(struct json_object *body) {
  static const char *const names[] = {"messages", "prompt", "input", "documents", "query"};
  uint64_t n = 0;

  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    n += count_prompt(json_get(body, names[i]));
  return n;
}

static void answer_vectors(struct http_exchange *x, struct json_object *body, bool rerank, uint64_t prompt) {
  struct json_object *o = json_object_new_object();
  struct json_object *all = json_object_new_array();
  size_t n = json_len(json_get(body, rerank ? "documents" : "input"));

  for (size_t i = 0; i < (n ? n : 1); i++) {
    struct json_object *one = json_object_new_object();
    (void)json_set_i64(one, "index", (int64_t)i);
    if (rerank)
      (void)json_set(one, "relevance_score", json_object_new_double(0.5));
    else
      (void)json_set(one, "embedding", json_object_new_array());
    (void)json_object_array_add(all, one);
  }
  (void)json_set(o, rerank ? "results" : "data", all);
  (void)json_set_i64(o, "usage.prompt_tokens", (int64_t)prompt);
  (void)json_set_i64(o, "usage.total_tokens", (int64_t)prompt);
  stub.answered++;
  answer_json(x, 200, o);
}

static void answer_whole(struct http_exchange *x, uint64_t prompt, uint64_t wanted) {
  struct json_object *o = json_object_new_object();
  struct json_object *choices = json_object_new_array();
  struct json_object *choice = json_object_new_object();

  (void)json_set_str(choice, "message.content", "all of it at once");
  (void)json_set_str(choice, "text", "all of it at once");
  (void)json_set_str(choice, "finish_reason", "length");
  (void)json_object_array_add(choices, choice);
  (void)json_set(o, "choices", choices);
  (void)json_set_i64(o, "usage.prompt_tokens", (int64_t)prompt);
  (void)json_set_i64(o, "usage.completion_tokens", (int64_t)wanted);
  stub.answered++;
  stub.tokens += wanted;
  answer_json(x, 200, o);
}

static void start_stream(struct http_exchange *x, struct json_object *body, uint64_t prompt, uint64_t wanted) {
  struct reply *r = calloc(1, sizeof(*r));

  if (!r || stub.n == MAX_STREAMS) {
    free(r);
    http_respond(x, 503, NULL, "", 0);
    return;
  }
  (void)snprintf(r->model, sizeof(r->model), "%s", json_str(body, "model", ""));
  r->x = x;
  r->came_ns = mono_ns();
  r->next_ns = streq(r->model, "never") ? UINT64_MAX : r->came_ns + stub.ttft_ns;
  r->wanted = wanted;
  r->prompt = prompt;
  r->usage = json_flag(body, "stream_options.include_usage", false);
  r->chat = has_suffix(http_path(x), "/chat/completions");
  http_set_user(x, r);
  http_on_close(x, on_close, NULL);
  if (!streq(r->model, "never"))
    http_respond_start(x, 200, "text/event-stream", -1);
  stub.replies[stub.n++] = r;
  stub.peak = stub.n > stub.peak ? stub.n : stub.peak;
}

static int status_for(const char *model) {
  static const struct {
    const char *model;
    int status;
  } faults[] = {{"limit", 429}, {"broken", 500}, {"refuse", 400}};

  for (size_t i = 0; i < ARRAY_LEN(faults); i++)
    if (streq(model, faults[i].model))
      return faults[i].status;
  return streq(model, "half") && stub.requests % 2 == 0 ? 500 : 200;
}

static void handle(void *arg, struct http_exchange *x) {
  static const char sorry[] = "{\"error\":{\"message\":\"no, because the test wants it so\"}}";
  _cleanup_json_ struct json_object *body = NULL;
  struct ome_err err = ERR_INIT;
  size_t len;

  (void)arg;
  if (streq(http_path(x), "/stats")) {
    answer_stats(x);
    return;
  }
  if (streq(http_path(x), "/health") || streq(http_path(x), "/v1/models")) {
    static const char models[] = "{\"object\":\"list\",\"data\":[{\"id\":\"stub\",\"object\":\"model\"}]}";
    http_respond(x, 200, "application/json", models, sizeof(models) - 1);
    return;
  }
  const char *text = http_body(x, &len);
  if (json_parse(text, len, (size_t)64 << 20, &body, &err) != OME_OK || !json_is(body, json_type_object)) {
    http_respond(x, 422, NULL, "", 0);
    return;
  }
  uint64_t prompt = prompt_of(body);
  uint64_t wanted = (uint64_t)json_i64(body, "max_tokens", 16);
  stub.requests++;
  stub.prompt_tokens += prompt;
  const char *authorization = http_header(x, "authorization");
  stub.auth += authorization && streq(authorization, "Bearer s3same");
  int status = status_for(json_str(body, "model", ""));
  if (status != 200)
    http_respond(x, status, "application/json", sorry, sizeof(sorry) - 1);
  else if (has_suffix(http_path(x), "/embeddings") || has_suffix(http_path(x), "/rerank"))
    answer_vectors(x, body, has_suffix(http_path(x), "/rerank"), prompt);
  else if (json_flag(body, "stream", false))
    start_stream(x, body, prompt, wanted);
  else
    answer_whole(x, prompt, wanted);
}

static void start(void *arg) {
  (void)arg;
  (void)loop_timer_new(stub.loop, 1, true, tick, NULL);
}

int main(int argc, char **argv) {
  struct ome_err err = ERR_INIT;
  struct http_server_config cfg = {.handler = handle, .max_body = (size_t)64 << 20, .max_connections = MAX_STREAMS};
  uint64_t ttft_ms, itl_ms, port = 0;
  sigset_t set;
  int got;
  char text[16];

  if (argc < 4 || argc > 5 || !str_to_u64(argv[2], &ttft_ms) || !str_to_u64(argv[3], &itl_ms) ||
      (argc == 5 && !str_to_u64(argv[4], &port)))
    return 2;
  cfg.port = (uint16_t)port;
  cfg.address = port ? "0.0.0.0" : NULL; /* as engines do: a pod has an address of its own */
  stub.ttft_ns = ttft_ms * 1000000u;
  stub.itl_ns = itl_ms * 1000000u;
  (void)signal(SIGPIPE, SIG_IGN);
  (void)sigemptyset(&set);
  (void)sigaddset(&set, SIGTERM);
  (void)sigaddset(&set, SIGINT);
  (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (loop_new("stub", &stub.loop, &err) != OME_OK || http_server_new(stub.loop, &cfg, &stub.server, &err) != OME_OK) {
    fprintf(stderr, "stub_engine: %s\n", err.msg);
    return 1;
  }
  loop_call(stub.loop, start, NULL);
  int n = snprintf(text, sizeof(text), "%u\n", http_server_port(stub.server));
  if (file_write(argv[1], text, (size_t)n, 0644, &err) != OME_OK)
    return 1;
  (void)sigwait(&set, &got);
  return 0;
}
