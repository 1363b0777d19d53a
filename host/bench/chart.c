#include "bench/chart.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of the view box; the page scales it. */
#define WIDTH 480.0
#define HEIGHT 300.0
#define LEFT 58.0
#define RIGHT 18.0
#define TOP 14.0
#define BOTTOM 46.0
#define COLORS 6u

void html_text(struct buf *out, const char *text) {
  for (; *text; text++) {
    switch (*text) {
    case '&':
      buf_adds(out, "&amp;");
      break;
    case '<':
      buf_adds(out, "&lt;");
      break;
    case '>':
      buf_adds(out, "&gt;");
      break;
    case '"':
      buf_adds(out, "&quot;");
      break;
    default:
      buf_addc(out, (unsigned char)*text < ' ' ? ' ' : *text);
    }
  }
}

void chart_init(struct chart *c, const char *title, const char *x_name, const char *y_name) {
  memset(c, 0, sizeof(*c));
  (void)snprintf(c->title, sizeof(c->title), "%s", title);
  c->x_name = x_name;
  c->y_name = y_name;
}

void chart_line(struct chart *c, unsigned color, bool dashed, const char *fmt, ...) {
  va_list ap;

  c->full = c->nlines == CHART_LINES;
  if (c->full)
    return;
  va_start(ap, fmt);
  (void)vsnprintf(c->lines[c->nlines].name, sizeof(c->lines[0].name), fmt, ap);
  va_end(ap);
  c->lines[c->nlines].color = color % COLORS;
  c->lines[c->nlines].dashed = dashed;
  c->lines[c->nlines].first = c->npoints;
  c->nlines++;
}

void chart_point(struct chart *c, double x, double y, const char *label) {
  if (c->full || !c->nlines || c->npoints == CHART_POINTS || !isfinite(x) || !isfinite(y))
    return;
  c->points[c->npoints].x = x;
  c->points[c->npoints].y = y;
  (void)snprintf(c->points[c->npoints].label, sizeof(c->points[0].label), "%s", label);
  c->npoints++;
  c->lines[c->nlines - 1].n++;
}

/* ---- axes -------------------------------------------------------------------------------------------------------- */

/* 1, 2 or 5 times a power of ten, for about N steps up to MOST. */
static double step_for(double most, int n) {
  double rough = most / n;
  double power = pow(10, floor(log10(rough)));
  double digit = rough / power;

  return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

struct frame {
  double x_most, y_most, x_step, y_step;
};

static struct frame frame_of(const struct chart *c) {
  struct frame f = {0};

  for (size_t i = 0; i < c->npoints; i++) {
    f.x_most = fmax(f.x_most, c->points[i].x);
    f.y_most = fmax(f.y_most, c->points[i].y);
  }
  f.x_step = step_for(f.x_most > 0 ? f.x_most : 1, 5);
  f.y_step = step_for(f.y_most > 0 ? f.y_most : 1, 4);
  f.x_most = fmax(f.x_step, ceil(f.x_most / f.x_step - 1e-9) * f.x_step);
  f.y_most = fmax(f.y_step, ceil(f.y_most / f.y_step - 1e-9) * f.y_step);
  return f;
}

static double x_of(const struct frame *f, double x) {
  return LEFT + x / f->x_most * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct frame *f, double y) {
  return HEIGHT - BOTTOM - y / f->y_most * (HEIGHT - TOP - BOTTOM);
}

static void number(double v, char out[16]) {
  if (v >= 1e6)
    (void)snprintf(out, 16, "%gM", v / 1e6);
  else if (v >= 1e4)
    (void)snprintf(out, 16, "%gk", v / 1e3);
  else
    (void)snprintf(out, 16, "%g", v);
}

static void write_axes(const struct chart *c, const struct frame *f, struct buf *out) {
  char text[16];

  for (double y = 0; y <= f->y_most * 1.0001; y += f->y_step) {
    number(y, text);
    buf_addf(out, "<line class=axis x1=%.1f x2=%.1f y1=%.1f y2=%.1f />", LEFT, WIDTH - RIGHT, y_of(f, y), y_of(f, y));
    buf_addf(out, "<text x=%.1f y=%.1f text-anchor=end>%s</text>", LEFT - 6, y_of(f, y) + 4, text);
  }
  for (double x = 0; x <= f->x_most * 1.0001; x += f->x_step) {
    number(x, text);
    buf_addf(out, "<text x=%.1f y=%.1f text-anchor=middle>%s</text>", x_of(f, x), HEIGHT - BOTTOM + 18, text);
  }
  buf_addf(out, "<text x=%.1f y=%.1f text-anchor=middle>%s</text>", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, c->x_name);
  buf_addf(out, "<text transform=\"translate(13 %.1f) rotate(-90)\" text-anchor=middle>%s</text>",
           (TOP + HEIGHT - BOTTOM) / 2, c->y_name);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void write_line(const struct chart *c, size_t line, const struct frame *f, struct buf *out) {
  unsigned color = c->lines[line].color;
  size_t first = c->lines[line].first, n = c->lines[line].n;
  bool dots = n <= 32;

  buf_adds(out, "<polyline points=\"");
  for (size_t i = first; i < first + n; i++)
    buf_addf(out, "%.1f,%.1f ", x_of(f, c->points[i].x), y_of(f, c->points[i].y));
  buf_addf(out, "\" fill=none stroke=\"var(--c%u)\" stroke-width=2 stroke-linejoin=round%s />", color,
           c->lines[line].dashed ? " stroke-dasharray=\"6 4\"" : "");
  for (size_t i = first; dots && i < first + n; i++) {
    double x = x_of(f, c->points[i].x), y = y_of(f, c->points[i].y);
    buf_addf(out, "<circle cx=%.1f cy=%.1f r=3.5 fill=\"var(--c%u)\" />", x, y, color);
    if (*c->points[i].label) {
      bool right = x > WIDTH - 60;
      buf_addf(out, "<text x=%.1f y=%.1f text-anchor=%s>", right ? x - 7 : x + 7, y - 6, right ? "end" : "start");
      html_text(out, c->points[i].label);
      buf_adds(out, "</text>");
    }
  }
}

void chart_write(const struct chart *c, struct buf *out) {
  struct frame f = frame_of(c);

  buf_adds(out, "<figure><figcaption>");
  html_text(out, c->title);
  buf_addf(out, "</figcaption><svg viewBox=\"0 0 %g %g\" role=img aria-label=\"", WIDTH, HEIGHT);
  html_text(out, c->title);
  buf_adds(out, "\">");
  write_axes(c, &f, out);
  for (size_t i = 0; i < c->nlines; i++)
    write_line(c, i, &f, out);
  buf_adds(out, "</svg><div class=key>");
  for (size_t i = 0; i < c->nlines; i++) {
    buf_addf(out, "<span><i%s style=\"color:var(--c%u)\"></i>", c->lines[i].dashed ? " class=dash" : "",
             c->lines[i].color);
    html_text(out, c->lines[i].name);
    buf_adds(out, "</span>");
  }
  buf_adds(out, "</div></figure>");
}
