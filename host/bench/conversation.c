#include "bench/conversation.h"

void conversation_init(struct conversation *c, uint32_t wanted) {
  *c = (struct conversation){.wanted = wanted};
  buf_init(&c->messages, CONVERSATION_MAX);
  buf_init(&c->answer, CONVERSATION_MAX);
}

void conversation_fini(struct conversation *c) {
  buf_fini(&c->messages);
  buf_fini(&c->answer);
}

void conversation_say(struct conversation *c, const char *messages, size_t len, uint64_t tokens) {
  if (c->wanted < 2)
    return;
  if (c->messages.len)
    buf_addc(&c->messages, ',');
  buf_add(&c->messages, messages, len);
  c->tokens += tokens;
}

void conversation_end_turn(struct conversation *c, bool well, uint64_t tokens) {
  if (c->wanted < 2)
    return;
  buf_adds(&c->messages, ",{\"role\":\"assistant\",\"content\":\"");
  buf_add(&c->messages, buf_str(&c->answer), c->answer.len);
  buf_adds(&c->messages, "\"}");
  c->tokens += tokens;
  c->turns++;
  if (!well || c->turns == c->wanted || !buf_ok(&c->messages) || !buf_ok(&c->answer)) {
    c->turns = 0;
    c->tokens = 0;
    buf_clear(&c->messages);
  }
  buf_clear(&c->answer);
}
