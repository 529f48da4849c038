/* The DATA options: which samples, and how they are prepared. */
#include "data_options.h"

#include <string.h>

#define DATA(member) offsetof(cli_data_flags, member)

const cli_option cli_data_rows[] = {
    {"images", 0, CLI_TEXT, DATA(images), "PATH",
     ".npy (8-bit NHWC, float NCHW), idx (also .gz), a JPEG or PNG, or a\n"
     "folder of them; folders of classes label themselves"},
    {"labels", 0, CLI_TEXT, DATA(labels), "PATH", ".npy, idx, or text with lines 'name label'"},
    {"inputs", 0, CLI_LIST, DATA(inputs), "[NAME=]FILE",
     "any data: .npy for an input (first axis: the sample), or a .npz with\n"
     "an array per input; repeatable"},
    {"limit", 0, CLI_COUNT, DATA(limit), "N", "only the first N samples"},
    {"resize", 0, CLI_COUNT, DATA(resize), "N", "scale the short side of images to N pixels"},
    {"crop", 0, CLI_COUNT, DATA(crop), "N", "cut the centre square of N pixels"},
    {"scale", 0, CLI_NUMBER, DATA(scale), "X",
     "pixels become (pixel * scale - mean) / std; default 1"},
    {"mean", 0, CLI_TEXT, DATA(mean), "M,M,M", "per channel or one for all; default 0"},
    {"std", 0, CLI_TEXT, DATA(std), "S,S,S", "per channel or one for all; default 1"},
    {"layout", 0, CLI_TEXT, DATA(layout), "ORDER",
     "nhwc or nchw: of image arrays (default: 8-bit nhwc, float nchw)"},
    {"rgb", 0, CLI_FLAG, DATA(rgb), NULL, "the model takes RGB (default)"},
    {"bgr", 0, CLI_FLAG, DATA(bgr), NULL, "the model takes BGR"},
    {0}};

void cli_data_flags_init(cli_data_flags *flags) {
    *flags = (cli_data_flags){.resize = -1, .crop = -1, .limit = -1, .scale = 1};
}

static bool parse_layout(cli_context *cli, const char *text, coppice_layout *out) {
    static const struct {
        const char *name;
        coppice_layout layout;
    } layouts[] = {{"nhwc", COPPICE_LAYOUT_NHWC}, {"nchw", COPPICE_LAYOUT_NCHW}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        if (strcmp(layouts[i].name, text) == 0) {
            *out = layouts[i].layout;
            return true;
        }
    }
    cli_usage(cli, "--layout '%s' is neither nhwc nor nchw", text);
    return false;
}

/* Counts that must not be 0 when given. */
static bool parse_positive(cli_context *cli, const char *name, int64_t given, int64_t *out) {
    if (given == 0) {
        cli_usage(cli, "%s must be at least 1", name);
        return false;
    }
    *out = given > 0 ? given : 0;
    return true;
}

bool cli_data_options(cli_context *cli, const cli_data_flags *flags, coppice_dataset_options *out) {
    coppice_dataset_options_init(out);
    if (!flags->images && flags->inputs.count == 0) {
        cli_usage(cli, "no data: give --images PATH or --inputs NAME=FILE.npy");
        return false;
    }
    if (flags->rgb && flags->bgr) {
        cli_usage(cli, "--rgb and --bgr contradict each other");
        return false;
    }
    out->images = flags->images;
    out->labels = flags->labels;
    out->inputs = flags->inputs.items;
    out->input_count = flags->inputs.count;
    out->bgr = flags->bgr;
    out->scale = flags->scale;
    if (!parse_positive(cli, "--resize", flags->resize, &out->resize) ||
        !parse_positive(cli, "--crop", flags->crop, &out->crop) ||
        !parse_positive(cli, "--limit", flags->limit, &out->limit))
        return false;
    if (flags->layout && !parse_layout(cli, flags->layout, &out->layout))
        return false;
    if (flags->mean && !cli_parse_numbers(cli, "--mean", flags->mean, out->mean,
                                          COPPICE_MAX_CHANNELS, &out->mean_count))
        return false;
    return !flags->std || cli_parse_numbers(cli, "--std", flags->std, out->std,
                                            COPPICE_MAX_CHANNELS, &out->std_count);
}
