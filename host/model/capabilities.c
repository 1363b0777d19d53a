/* What a model can do, in OME's vocabulary. */
#include "model/internal.h"

#include "base/str.h"

#include <stdio.h>
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

/* Pipelines of diffusers by words of their class, small letters; the first row that has one.  "video" alone is OME's
 * reading; before it stand those that are known to start from words. */
static const struct {
  const char *words; /* "|" between */
  const char *capability;
} pipelines[] = {
    {"audio|music", "TEXT_TO_AUDIO"},
    {"imagetovideo|i2v|stablevideo|videotovideo", "IMAGE_TEXT_TO_VIDEO"},
    {"texttovideo|t2v|wanpipeline|hunyuanvideopipeline|cogvideoxpipeline|ltxpipeline|mochi|animatediff|allegro|latte",
     "TEXT_TO_VIDEO"},
    {"edit|pix2pix|img2img|inpaint|kontext|fluxfill|upscale|controlnet", "IMAGE_TEXT_TO_IMAGE"},
    {"video", "IMAGE_TEXT_TO_VIDEO"},
};

static bool has_any(const char *text, const char *words) {
  char word[64];

  for (const char *at = words; *at;) {
    size_t n = strcspn(at, "|");
    (void)snprintf(word, sizeof(word), "%.*s", (int)n, at);
    if (has_word(text, word))
      return true;
    at += n + (at[n] == '|');
  }
  return false;
}

static const char *of_pipeline(const char *class_name) {
  for (size_t i = 0; i < ARRAY_LEN(pipelines); i++)
    if (has_any(class_name, pipelines[i].words))
      return pipelines[i].capability;
  return "TEXT_TO_IMAGE";
}

/* What of OpenAI's interface can be asked of a model: by what it can do, and whether it knows how a talk is written. */
static void name_apis(struct model_facts *f) {
  static const struct {
    const char *can, *apis[2];
    bool talks; /* nothing without a chat template */
  } table[] = {
      {"TEXT_TO_TEXT", {"OPENAI_V1_CHAT_COMPLETIONS", "OPENAI_V1_RESPONSES"}, true},
      {"IMAGE_TEXT_TO_TEXT", {"OPENAI_V1_CHAT_COMPLETIONS", "OPENAI_V1_RESPONSES"}, true},
      {"EMBEDDING", {"OPENAI_V1_EMBEDDINGS"}, false},
      {"TEXT_TO_IMAGE", {"OPENAI_V1_IMAGES_GENERATIONS"}, false},
      {"IMAGE_TEXT_TO_IMAGE", {"OPENAI_V1_IMAGES_EDITS"}, false},
      {"TEXT_TO_AUDIO", {"OPENAI_V1_AUDIO_SPEECH"}, false},
      {"AUDIO_TO_TEXT", {"OPENAI_V1_AUDIO_TRANSCRIPTIONS", "OPENAI_V1_AUDIO_TRANSLATIONS"}, false},
      {"AUDIO_TO_AUDIO", {"OPENAI_V1_REALTIME"}, false},
  };

  f->napis = 0;
  for (size_t i = 0; i < ARRAY_LEN(table); i++)
    for (size_t k = 0; k < f->ncapabilities; k++)
      for (size_t n = 0; streq(f->capabilities[k], table[i].can) && n < ARRAY_LEN(table[i].apis); n++)
        if (table[i].apis[n] && (f->chat_template || !table[i].talks) && f->napis < ARRAY_LEN(f->apis))
          f->apis[f->napis++] = table[i].apis[n];
}

/* The first rule that applies. */
void facts_capabilities(struct model_facts *f) {
  static const char *const all[] = {"IMAGE_TEXT_TO_TEXT", "TEXT_TO_TEXT", "AUDIO_TO_TEXT"};
  static const char *const omni[] = {"TEXT_TO_AUDIO", "IMAGE_TEXT_TO_AUDIO", "VIDEO_TEXT_TO_AUDIO", "AUDIO_TO_TEXT",
                                     "AUDIO_TO_AUDIO"};
  const char *one = "TEXT_TO_TEXT";
  const char *const *list = &one;
  size_t n = 1;

  f->embedding = !f->rerank && embeds(f);
  if (streq(f->type, "diffusers"))
    one = of_pipeline(f->architecture);
  else if (has_word(f->type, "nemotronh_nano"))
    list = all, n = ARRAY_LEN(all);
  else if (has_word(f->architecture, "omni"))
    list = omni, n = ARRAY_LEN(omni);
  else if (f->vision)
    one = "IMAGE_TEXT_TO_TEXT";
  else if (hears(f) || f->audio)
    one = "AUDIO_TO_TEXT";
  else if (f->rerank)
    one = "RERANK";
  else if (f->embedding)
    one = "EMBEDDING";
  for (size_t i = 0; i < n; i++)
    f->capabilities[i] = list[i];
  f->ncapabilities = n;
  name_apis(f);
}
