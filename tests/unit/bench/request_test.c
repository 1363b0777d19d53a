#include "../unit.h"

#include "base/str.h"
#include "bench/answer.h"
#include "bench/request.h"
#include "bench/sweep.h"
#include "tokens/tokenizer.h"

static struct json_object *turn_of(struct request_source *s, const struct sample *sample, struct conversation *talk) {
  _cleanup_buf_ struct buf out = BUF_INIT;
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  request_body(s, sample, talk, &out);
  assert_int_equal(json_parse(buf_str(&out), out.len, (size_t)32 << 20, &o, &err), OME_OK);
  return o;
}

static struct json_object *body_of(struct request_source *s, const struct sample *sample) {
  return turn_of(s, sample, NULL);
}

static size_t words(const char *text) {
  size_t n = 0;

  for (; *text; text++)
    n += *text == ' ';
  return n;
}

static const char *prompt_of(struct json_object *body) {
  return json_str(json_index(json_at(body, "messages"), 0), "content", "");
}

static void a_prompt_is_as_long_as_the_scenario_says(void **state) {
  struct request_source s;
  struct ome_err err = ERR_INIT;
  static const uint32_t lengths[] = {1, 5, 8, 9, 1000, 40000}; /* the last is longer than what is made ahead */

  (void)state;
  assert_int_equal(request_source_init(&s, TASK_CHAT, true, "m \"1\"", NULL, 1, &err), OME_OK);
  for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
    const struct sample sample = {.input_tokens = lengths[i], .output_tokens = 20};
    _cleanup_json_ struct json_object *body = body_of(&s, &sample);
    assert_int_equal(words(prompt_of(body)), lengths[i]);
    assert_string_equal(json_str(body, "model", ""), "m \"1\"");
    assert_int_equal(json_i64(body, "max_tokens", 0), 20);
    assert_true(json_flag(body, "stream_options.include_usage", false));
    assert_true(json_flag(body, "ignore_eos", false));
  }
  request_source_fini(&s);
}

static void prompts_share_the_prefix_and_no_more(void **state) {
  const struct sample sample = {.input_tokens = 60, .prefix_tokens = 40};
  struct request_source s;
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(request_source_init(&s, TASK_CHAT, true, "m", NULL, 1, &err), OME_OK);
  _cleanup_json_ struct json_object *a = body_of(&s, &sample);
  _cleanup_json_ struct json_object *b = body_of(&s, &sample);
  size_t same = 0, spaces = 0;
  const char *x = prompt_of(a), *y = prompt_of(b);
  for (; x[same] && x[same] == y[same]; same++)
    spaces += x[same] == ' ';
  assert_in_range(spaces, 40, 45);
  assert_int_equal(words(x), 60);
  request_source_fini(&s);
}

/* The server answers TALK with what is in these two pieces; a JSON string's inside may be cut anywhere between escapes.
 */
static void answer(struct conversation *talk) {
  static const char one[] = "{\"choices\":[{\"delta\":{\"reasoning\":\"hm\",\"content\":\"a \\\"b\\\"\"}}]}";
  static const char two[] = "{\"choices\":[{\"delta\":{\"content\":\" \\u00e9\"}}]}";
  struct answer a = {.text = &talk->answer};

  assert_int_equal(answer_take(&a, one, sizeof(one) - 1), ANSWER_TEXT);
  assert_int_equal(answer_take(&a, two, sizeof(two) - 1), ANSWER_TEXT);
}

static void a_turn_is_sent_with_all_that_was_said(void **state) {
  const struct sample sample = {.input_tokens = 60, .prefix_tokens = 40};
  struct request_source s;
  struct conversation talk;
  struct ome_err err = ERR_INIT;
  static const size_t messages[] = {1, 3, 5, 1, 3}; /* three turns, then the next conversation */

  (void)state;
  conversation_init(&talk, 3);
  assert_int_equal(request_source_init(&s, TASK_CHAT, true, "m", NULL, 1, &err), OME_OK);
  for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
    _cleanup_json_ struct json_object *body = turn_of(&s, &sample, &talk);
    struct json_object *all = json_get(body, "messages");
    assert_int_equal(json_len(all), messages[i]);
    assert_int_equal(words(prompt_of(body)), 60);
    if (messages[i] > 1) {
      assert_string_equal(json_str(json_index(all, 1), "role", ""), "assistant");
      assert_string_equal(json_str(json_index(all, 1), "content", ""), "a \"b\" \xc3\xa9");
      assert_int_equal(words(json_str(json_index(all, messages[i] - 1), "content", "")), 20);
    }
    answer(&talk);
    conversation_end_turn(&talk, true, 7);
  }
  request_source_fini(&s);
  conversation_fini(&talk);
}

static void a_conversation_ends_early_when_it_must(void **state) {
  static const char rows[] =
      "{\"messages\":[{\"role\":\"system\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"y\"}]}";
  const struct sample sample = {0};
  struct request_source s;
  struct conversation talk;
  struct dataset d = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  conversation_init(&talk, 9);
  assert_int_equal(dataset_read("f", rows, sizeof(rows) - 1, &d, &err), OME_OK);
  assert_int_equal(request_source_init(&s, TASK_CHAT, true, "m", NULL, 1, &err), OME_OK);
  s.dataset = &d;
  for (int i = 0; i < 4; i++) { /* failed, well, too long, as if nothing had been */
    _cleanup_json_ struct json_object *body = turn_of(&s, &sample, &talk);
    assert_int_equal(json_len(json_get(body, "messages")), i == 2 ? 5 : 2);
    answer(&talk);
    for (size_t n = 0; i == 2 && n <= CONVERSATION_MAX; n += 1024)
      buf_addf(&talk.answer, "%01024d", 0);
    conversation_end_turn(&talk, i != 0, 0);
  }
  request_source_fini(&s);
  dataset_fini(&d);
  conversation_fini(&talk);
}

static void parameters_are_added_and_taken_out(void **state) {
  _cleanup_json_ struct json_object *params = json_object_new_object();
  const struct sample sample = {.input_tokens = 3, .output_tokens = 20};
  struct request_source s;
  struct ome_err err = ERR_INIT;

  (void)state;
  (void)json_set(params, "temperature", json_object_new_double(0.5));
  (void)json_set(params, "ignore_eos", NULL);
  (void)json_set_i64(params, "max_tokens", 4);
  assert_int_equal(request_source_init(&s, TASK_COMPLETIONS, false, "m", params, 1, &err), OME_OK);
  _cleanup_json_ struct json_object *body = body_of(&s, &sample);
  assert_null(json_get(body, "ignore_eos"));
  assert_null(json_get(body, "stream_options"));
  assert_int_equal(json_i64(body, "max_tokens", 0), 4);
  assert_non_null(json_get(body, "temperature"));
  assert_int_equal(words(json_str(body, "prompt", "")), 3);
  request_source_fini(&s);
}

static void documents_and_pictures_are_counted(void **state) {
  const struct sample documents = {.input_tokens = 6, .query_tokens = 4, .count = 3};
  const struct sample pictures = {.input_tokens = 6, .width = 40, .height = 33, .count = 2};
  struct request_source s;
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(request_source_init(&s, TASK_RERANK, true, "m", NULL, 1, &err), OME_OK);
  _cleanup_json_ struct json_object *rank = body_of(&s, &documents);
  assert_int_equal(json_len(json_get(rank, "documents")), 3);
  assert_int_equal(words(json_str(rank, "query", "")), 4);
  assert_null(json_get(rank, "stream"));
  request_source_fini(&s);
  assert_int_equal(request_source_init(&s, TASK_IMAGE_CHAT, true, "m", NULL, 1, &err), OME_OK);
  _cleanup_json_ struct json_object *image = body_of(&s, &pictures);
  struct json_object *parts = json_at(json_index(json_get(image, "messages"), 0), "content");
  assert_int_equal(json_len(parts), 3);
  assert_true(has_prefix(json_str(json_index(parts, 2), "image_url.url", ""), "data:image/png;base64,iVBORw0KGgo"));
  request_source_fini(&s);
}

static void a_dataset_leaves_bad_rows_out_and_says_so(void **state) {
  static const char text[] =
      "plain words\n\n{\"prompt\":\"a \\\"b\\\"\",\"max_tokens\":7}\n{\"broken\n{\"other\":1}\n"
      "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n{\"messages\":[{\"role\":\"user\"}]}\n"
      "{\"prompt\":\"x\",\"max_tokens\":-1}\n\xff\xfe\n";
  struct dataset d = {0};
  struct request_source s;
  struct ome_err err = ERR_INIT;
  const struct sample sample = {.output_tokens = 20};

  (void)state;
  assert_int_equal(dataset_read("f", text, sizeof(text) - 1, &d, &err), OME_OK);
  assert_int_equal(d.rows.len, 3);
  assert_int_equal(d.bad, 5);
  assert_string_equal(d.first_bad, "line 4: is no JSON object");
  assert_int_equal(request_source_init(&s, TASK_CHAT, true, "m", NULL, 1, &err), OME_OK);
  s.dataset = &d;
  for (int round = 0; round < 2; round++) {
    _cleanup_json_ struct json_object *first = body_of(&s, &sample);
    _cleanup_json_ struct json_object *second = body_of(&s, &sample);
    _cleanup_json_ struct json_object *third = body_of(&s, &sample);
    assert_string_equal(prompt_of(first), "plain words");
    assert_string_equal(prompt_of(second), "a \"b\"");
    assert_int_equal(json_i64(second, "max_tokens", 0), 7);
    assert_string_equal(prompt_of(third), "hi");
    assert_int_equal(json_i64(third, "max_tokens", 0), 20);
  }
  request_source_fini(&s);
  dataset_fini(&d);
  assert_int_equal(dataset_read("f", "{\n{}\n", 5, &d, &err), OME_E_INVALID);
  assert_non_null(strstr(err.msg, "line 1"));
  dataset_fini(&d);
}

static void addresses_lead_to_the_endpoint(void **state) {
  static const struct {
    const char *given, *url;
  } good[] = {{"http://h:1", "http://h:1/v1/chat/completions"},
              {"http://h:1/", "http://h:1/v1/chat/completions"},
              {"http://h:1/v1", "http://h:1/v1/chat/completions"},
              {"https://h/serve/m/v1/", "https://h/serve/m/v1/chat/completions"},
              {"http://h/v1/chat/completions", "http://h/v1/chat/completions"}};
  static const char *const bad[] = {"h:1", "ftp://h", "http://", "http:///v1", "http://user:secret@h/"};
  struct ome_err err = ERR_INIT;

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(good); i++) {
    _cleanup_free_ char *url = NULL;
    assert_int_equal(bench_url(good[i].given, TASK_CHAT, &url, &err), OME_OK);
    assert_string_equal(url, good[i].url);
  }
  for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
    char *url = NULL;
    assert_int_equal(bench_url(bad[i], TASK_CHAT, &url, &err), OME_E_INVALID);
    assert_null(strstr(err.msg, "secret"));
  }
}

/* Knows WORDS whole, and four letters. */
static struct tokenizer *small_tokenizer(const char *words) {
  struct tokenizer *t = NULL;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *text = str_printf(
      "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"ignore_merges\":true,\"vocab\":{%s,\"?\":94,\"t\":90,\"i\":91,\"m\":92,\"e\":93},\"merges\":[]},"
      "\"pre_tokenizer\":{\"type\":\"Metaspace\"}}",
      words);

  if (tokenizer_read("small", text, strlen(text), &t, &err) != OME_OK)
    fail_msg("%s", err.msg);
  return t;
}

static void prompts_are_as_many_tokens_as_the_tokenizer_counts(void **state) {
  static const char vocabulary[] =
      "\"\u2581den\":1,\"\u2581noc\":2,\"\u2581rok\":3,\"\u2581huis\":4,\"\u2581boom\":5,\"\u2581water\":6,\"\u2581boek\":7,"
      "\"\u2581land\":8,\"\u2581Groot\":9";
  const struct sample sample = {.input_tokens = 60, .prefix_tokens = 25, .output_tokens = 5};
  _cleanup_(tokenizer_freep) struct tokenizer *t = small_tokenizer(vocabulary);
  struct conversation talk;
  struct request_source s;
  struct ome_err err = ERR_INIT;
  static const uint64_t told[] = {60, 60 + 7 + 35, 60 + 7 + 35 + 7 + 35, 60};

  (void)state;
  conversation_init(&talk, 3);
  assert_int_equal(request_source_init(&s, TASK_CHAT, true, "m", NULL, 1, &err), OME_OK);
  assert_int_equal(request_source_measure(&s, t, &err), OME_OK);
  for (size_t i = 0; i < ARRAY_LEN(told); i++) {
    _cleanup_buf_ struct buf out = BUF_INIT;
    _cleanup_json_ struct json_object *body = NULL;
    uint64_t n, sum = 0;
    assert_int_equal(request_body(&s, &sample, &talk, &out), told[i]);
    assert_int_equal(json_parse(buf_str(&out), out.len, 0, &body, &err), OME_OK);
    for (size_t j = 0; j < json_len(json_get(body, "messages")); j += 2) {
      const char *text = json_str(json_index(json_get(body, "messages"), j), "content", "");
      assert_int_equal(tokenizer_count(t, text, strlen(text), &n, &err), OME_OK);
      sum += n;
    }
    assert_int_equal(sum, i == 3 ? 60 : 60 + 35 * i);
    conversation_end_turn(&talk, true, 7);
  }
  conversation_fini(&talk);
  request_source_fini(&s);
}

static void a_tokenizer_without_words_is_refused(void **state) {
  _cleanup_(tokenizer_freep) struct tokenizer *t = small_tokenizer("\"\u2581time\":1,\"time\":2");
  struct request_source s;
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(request_source_init(&s, TASK_CHAT, true, "m", NULL, 1, &err), OME_OK);
  assert_int_equal(request_source_measure(&s, t, &err), OME_E_UNSUPPORTED);
  assert_non_null(strstr(err.msg, "1 words"));
  request_source_fini(&s);
}

static void rows_of_a_dataset_are_counted(void **state) {
  static const char text[] = "time time\n{\"messages\":[{\"role\":\"user\",\"content\":\"time\"},{\"role\":\"user\","
                             "\"content\":[{\"type\":\"text\",\"text\":\"time mite\"},{\"type\":\"image_url\"}]}]}\n";
  _cleanup_(tokenizer_freep) struct tokenizer *t = small_tokenizer("\"\u2581time\":1,\"\u2581\":2");
  struct dataset d = {0};
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(dataset_read("d", text, strlen(text), &d, &err), OME_OK);
  assert_int_equal(dataset_count(&d, t, &err), OME_OK);
  assert_int_equal(d.rows.items[0].tokens, 2);
  assert_int_equal(d.rows.items[1].tokens, 1 + 1 + 5);
  dataset_fini(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_prompt_is_as_long_as_the_scenario_says),
      cmocka_unit_test(prompts_share_the_prefix_and_no_more),
      cmocka_unit_test(a_turn_is_sent_with_all_that_was_said),
      cmocka_unit_test(a_conversation_ends_early_when_it_must),
      cmocka_unit_test(parameters_are_added_and_taken_out),
      cmocka_unit_test(documents_and_pictures_are_counted),
      cmocka_unit_test(a_dataset_leaves_bad_rows_out_and_says_so),
      cmocka_unit_test(prompts_are_as_many_tokens_as_the_tokenizer_counts),
      cmocka_unit_test(a_tokenizer_without_words_is_refused),
      cmocka_unit_test(rows_of_a_dataset_are_counted),
      cmocka_unit_test(addresses_lead_to_the_endpoint),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
