/* What a model can do, in OME's vocabulary. */
#include "model/internal.h"

#include "base/str.h"

#include <string.h>

static bool has_word(const char *text, const char *word) {
  return strcasestr(text, word) != NULL;
}

static bool hears(const struct model_facts *f) {
  static const char *const speech[] = {"whisper", "wav2vec2", "hubert", "forctc", "forspeechtotext"};

  for (size_t i = 0; i < ARRAY_LEN(speech); i++)
    if (has_word(f->architecture, speech[i]))
      return true;
  return false;
}

static bool embeds(const struct model_facts *f) {
  return f->embedding || has_word(f->architecture, "embedding") || has_word(f->architecture, "sentence") ||
         has_word(f->type, "bert");
}

/* The first rule that applies. */
void facts_capabilities(struct model_facts *f) {
  static const char *const all[] = {"IMAGE_TEXT_TO_TEXT", "TEXT_TO_TEXT", "AUDIO_TO_TEXT"};
  static const char *const omni[] = {"TEXT_TO_AUDIO", "IMAGE_TEXT_TO_AUDIO", "VIDEO_TEXT_TO_AUDIO", "AUDIO_TO_TEXT",
                                     "AUDIO_TO_AUDIO"};
  static const char *const image[] = {"IMAGE_TEXT_TO_TEXT"}, *const audio[] = {"AUDIO_TO_TEXT"},
                           *const rank[] = {"RERANK"}, *const embed[] = {"EMBEDDING"}, *const text[] = {"TEXT_TO_TEXT"};
  const char *const *list = text;
  size_t n = 1;

  f->embedding = !f->rerank && embeds(f);
  if (has_word(f->type, "nemotronh_nano"))
    list = all, n = ARRAY_LEN(all);
  else if (has_word(f->architecture, "omni"))
    list = omni, n = ARRAY_LEN(omni);
  else if (f->vision)
    list = image;
  else if (hears(f) || f->audio)
    list = audio;
  else if (f->rerank)
    list = rank;
  else if (f->embedding)
    list = embed;
  for (size_t i = 0; i < n; i++)
    f->capabilities[i] = list[i];
  f->ncapabilities = n;
}
