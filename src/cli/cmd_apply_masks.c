/* coppice apply-masks: puts masks made earlier onto a new export of the same network. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "output_options.h"

typedef struct apply_options {
    cli_output out;
    cli_list map;
    bool trust_names, dry_run;
} apply_options;

#define AT(member) offsetof(apply_options, member)

static const cli_option match_rows[] = {
    {"map", 0, CLI_LIST, AT(map), "MASK=INITIALIZER",
     "this mask belongs to this initializer; repeatable;\n"
     "'--map MASK=' leaves a mask out"},
    {"trust-names", 0, CLI_FLAG, AT(trust_names), NULL,
     "a mask belongs to the initializer of its name and shape,\n"
     "whatever it prunes there (for masks not made by magnitude)"},
    {"dry-run", 0, CLI_FLAG, AT(dry_run), NULL, "match and report, write nothing"},
    {0}};

/* What a run has found out. */
typedef struct apply_result {
    const coppice_masks *masks;
    const coppice_match *match;
    int64_t weights, zeros, violations;
    cli_output_result out;
    double ms;
} apply_result;

/* ---- before the work ---- */

static coppice_status check(cli_context *cli, const apply_options *o) {
    const char *outputs[] = {o->out.path};
    coppice_status status = cli_output_check_names(cli, outputs, 1);
    if (status == COPPICE_OK)
        status = cli_output_check_usage(cli, &o->out);
    if (status != COPPICE_OK)
        return status;
    if (!o->out.path && !o->dry_run)
        return cli_usage(cli, "apply-masks: where to? Give -o OUT (or --dry-run)");
    if (cli_same(o->out.path, cli->args[1]) || cli_same(cli->json.value, cli->args[1])) {
        cli->json = (cli_optional){0};
        return cli_usage(cli, "an output has the name of the masks");
    }
    return o->dry_run ? COPPICE_OK : cli_output_check_targets(cli, &o->out);
}

/* "MASK=INITIALIZER": the name of a mask may hold '=' itself. */
static coppice_status parse_pair(cli_context *cli, const char *text, const coppice_masks *masks,
                                 coppice_match_pair *out) {
    char *copy = cli_join(cli, text, "", "");
    if (!copy)
        return cli->error.status;
    char *equals = strchr(copy, '=');
    if (!equals || equals == copy)
        return cli_usage(cli, "--map: '%s' is not MASK=INITIALIZER", text);
    for (; equals; equals = strchr(equals + 1, '=')) {
        *equals = 0;
        if (coppice_masks_find(masks, copy) >= 0) {
            *out = (coppice_match_pair){.mask = copy, .initializer = equals + 1};
            return COPPICE_OK;
        }
        *equals = '=';
    }
    return cli_usage(cli, "--map: '%s' begins with no name of a mask", text);
}

static bool is_mapped(const coppice_match_pair *pairs, size_t count, const char *mask) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].mask, mask) == 0)
            return true;
    return false;
}

static bool has_namesake(const coppice_model *model, const coppice_masks *masks, size_t index) {
    int64_t at = coppice_model_tensor_find(model, coppice_masks_name(masks, index));
    if (at < 0)
        return false;
    coppice_tensor tensor = coppice_model_tensor_info(model, (size_t)at);
    coppice_tensor mask = coppice_masks_info(masks, index);
    return tensor.rank == mask.rank &&
           memcmp(tensor.dims, mask.dims, mask.rank * sizeof *mask.dims) == 0;
}

static coppice_status match(cli_context *cli, const apply_options *o, const coppice_model *model,
                            const coppice_masks *masks, coppice_match **out) {
    size_t count = coppice_masks_count(masks), used = 0;
    coppice_match_pair *pairs = cli_alloc(cli, (o->map.count + count + 1) * sizeof *pairs);
    if (!pairs)
        return cli->error.status;
    for (; used < o->map.count; used++) {
        coppice_status status = parse_pair(cli, o->map.items[used], masks, &pairs[used]);
        if (status != COPPICE_OK)
            return status;
    }
    for (size_t i = 0; o->trust_names && i < count; i++) {
        const char *name = coppice_masks_name(masks, i);
        if (!is_mapped(pairs, used, name) && has_namesake(model, masks, i))
            pairs[used++] = (coppice_match_pair){.mask = name, .initializer = name};
    }
    return coppice_masks_match(masks, model, pairs, used, out, &cli->error);
}

/* ---- what is shown ---- */

static const char *kind_of(const coppice_match_row *row) {
    static const char *const names[] = {
        [COPPICE_MATCH_NAME] = "name",   [COPPICE_MATCH_CONTENT] = "content",
        [COPPICE_MATCH_GIVEN] = "given", [COPPICE_MATCH_DOUBTFUL] = "doubtful",
        [COPPICE_MATCH_NONE] = "none",
    };
    return row->kind == COPPICE_MATCH_GIVEN && !row->initializer ? "left out" : names[row->kind];
}

static int64_t weights_of(const coppice_masks *masks, size_t index) {
    coppice_tensor info = coppice_masks_info(masks, index);
    return coppice_tensor_count(&info);
}

static void print_rows(cli_context *cli, const apply_result *r) {
    cli_table table = {0};
    cli_table_column(&table, "mask", CLI_LEFT);
    cli_table_column(&table, "initializer", CLI_LEFT);
    cli_table_column(&table, "match", CLI_LEFT);
    cli_table_column(&table, "agreement", CLI_RIGHT);
    cli_table_column(&table, "weights", CLI_RIGHT);
    cli_table_column(&table, "zeros", CLI_RIGHT);
    cli_table_column(&table, "sparsity", CLI_RIGHT);
    for (size_t i = 0; i < r->match->row_count; i++) {
        const coppice_match_row *row = &r->match->rows[i];
        int64_t zeros = coppice_masks_zeros(r->masks, i), weights = weights_of(r->masks, i);
        cli_table_text(&table, row->mask);
        cli_table_text(&table, row->initializer ? row->initializer : "-");
        cli_table_cell(&table, "%s%s", kind_of(row), row->transposed ? ", transposed" : "");
        if (isnan(row->agreement))
            cli_table_text(&table, "-");
        else
            cli_table_cell(&table, "%.2f", row->agreement);
        cli_table_count(&table, weights);
        cli_table_count(&table, zeros);
        cli_table_percent(&table, cli_share(zeros, weights));
    }
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void print_totals(cli_context *cli, const apply_result *r) {
    cli_print(cli, "\nweights  %s with masks, ", cli_format_count(r->weights).text);
    cli_print(cli, "%s of them zero (%.1f %%), ", cli_format_count(r->zeros).text,
              100 * cli_share(r->zeros, r->weights));
    cli_print(cli, "%s were not zero before\n", cli_format_count(r->violations).text);
    cli_output_print_bytes(cli, &r->out);
}

static json_t *json_of(const apply_result *r) {
    json_t *rows = json_array();
    for (size_t i = 0; i < r->match->row_count; i++) {
        const coppice_match_row *row = &r->match->rows[i];
        json_array_append_new(rows, json_pack("{s:o, s:o, s:s, s:b, s:o, s:I, s:I, s:o}", "mask",
                                              cli_json_string(row->mask), "initializer",
                                              cli_json_string(row->initializer), "match",
                                              kind_of(row), "transposed", (int)row->transposed,
                                              "agreement", cli_json_real(row->agreement), "zeros",
                                              (json_int_t)coppice_masks_zeros(r->masks, i),
                                              "weights", (json_int_t)weights_of(r->masks, i),
                                              "reason", cli_json_string(row->reason)));
    }
    return json_pack("{s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "masks", rows,
                     "zeros", (json_int_t)r->zeros, "weights", (json_int_t)r->weights, "sparsity",
                     cli_json_real(cli_share(r->zeros, r->weights)), "bytes_in",
                     cli_json_count(r->out.bytes_in), "bytes_out", cli_json_count(r->out.bytes_out),
                     "bytes", cli_output_json_bytes(&r->out), "violations",
                     (json_int_t)r->violations, "folded_masks", (json_int_t)r->out.folded_masks,
                     "external_data", cli_output_json_data(&r->out), "ms", cli_json_real(r->ms));
}

/* ---- the work ---- */

/* Names the first mask that has no sure place; the others are in the table. */
static coppice_status refuse(cli_context *cli, const coppice_model *model,
                             const coppice_masks *masks, const coppice_match *found) {
    size_t i = 0;
    while (!found->rows[i].reason)
        i++;
    const coppice_match_row *row = &found->rows[i];
    char more[64] = "";
    if (found->refused > 1)
        snprintf(more, sizeof more, " (and %zu more)", found->refused - 1);
    if (row->kind == COPPICE_MATCH_NONE)
        return cli_fail(cli, COPPICE_BAD_DATA,
                        "%s: mask '%s'%s has no place in the model: %s. Nothing was written; leave "
                        "it out with --map '%s='",
                        cli->args[1], row->mask, more, row->reason, row->mask);
    return cli_fail(cli, COPPICE_BAD_DATA,
                    "%s: mask '%s'%s has no sure place in the model: %s. Nothing was written; say "
                    "where it belongs with --map '%s=INITIALIZER', leave it out with --map '%s='%s",
                    cli->args[1], row->mask, more, row->reason, row->mask, row->mask,
                    has_namesake(model, masks, i) ? ", or give --trust-names if the names are right"
                                                  : "");
}

/* Names are believed; but whoever mixed up two files wants to know. */
static void explain_names(cli_context *cli, const coppice_match *found) {
    size_t named = 0, borne_out = 0;
    for (size_t i = 0; i < found->row_count; i++) {
        const coppice_match_row *row = &found->rows[i];
        named += row->kind == COPPICE_MATCH_NAME && !isnan(row->agreement);
        borne_out += row->kind == COPPICE_MATCH_NAME && row->agreement >= 0.3;
    }
    if (named > 2 * borne_out)
        cli_note(cli,
                 "the weights that most masks prune are not the small ones of the initializers of "
                 "their names: right for masks that were not made by magnitude, else these are the "
                 "masks of another network");
}

static coppice_status apply(cli_context *cli, const apply_options *o, coppice_model *model,
                            apply_result *r) {
    const coppice_masks *masks = r->match->masks;
    for (size_t i = 0; i < coppice_masks_count(masks); i++) {
        r->weights += weights_of(masks, i);
        r->zeros += coppice_masks_zeros(masks, i);
    }
    coppice_status status = coppice_masks_apply(masks, model, &r->violations, &cli->error);
    r->out.bytes_in = coppice_model_file_bytes(model);
    if (status == COPPICE_OK && !o->dry_run)
        status = cli_output_save(cli, &o->out, model, NULL, &r->out);
    return status;
}

static coppice_status work(cli_context *cli, const apply_options *o, double start,
                           coppice_model *model, const coppice_masks *masks) {
    coppice_match *found = NULL;
    apply_result r = {.masks = masks};
    cli_output_result_init(&r.out);
    coppice_status status = cli_output_prepare(cli, &o->out, model, &r.out);
    if (status == COPPICE_OK)
        status = match(cli, o, model, masks, &found);
    if (status == COPPICE_OK) {
        r.match = found;
        status = found->refused ? COPPICE_OK : apply(cli, o, model, &r);
    }
    if (status == COPPICE_OK)
        print_rows(cli, &r);
    if (status == COPPICE_OK && found->refused)
        status = refuse(cli, model, masks, found);
    else if (status == COPPICE_OK)
        print_totals(cli, &r);
    if (status == COPPICE_OK)
        explain_names(cli, found);
    if (status == COPPICE_OK && o->dry_run)
        cli_note(cli, "dry run: nothing was written");
    r.ms = cli_now_ms() - start;
    if (status == COPPICE_OK)
        status = cli_json_emit(cli, cli->json.given ? json_of(&r) : NULL);
    coppice_match_free(found);
    return status;
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    double start = cli_now_ms();
    apply_options o = {0};
    const cli_group groups[] = {
        {"Which mask goes where", match_rows, &o}, {"Output", cli_output_rows, &o.out}, {0}};
    if (!cli_parse(cli, groups, 2, 2, argc, argv))
        return cli->error.status;
    coppice_status status = check(cli, &o);
    if (status != COPPICE_OK)
        return status;
    if (cli_same(o.out.path, "-"))
        cli->out = stderr;
    coppice_model *model = NULL;
    coppice_masks *masks = NULL;
    status = coppice_masks_load(cli->args[1], &masks, &cli->error);
    if (status == COPPICE_OK && coppice_masks_count(masks) == 0)
        status = cli_fail(cli, COPPICE_BAD_DATA,
                          "%s: the archive is empty: save an array per mask, named as its weight",
                          cli->args[1]);
    if (status == COPPICE_OK)
        status = cli_load_model(cli, cli->args[0], &model);
    if (status == COPPICE_OK && !o.dry_run)
        status = cli_output_check_model(cli, &o.out, model);
    if (status == COPPICE_OK)
        status = work(cli, &o, start, model, masks);
    coppice_masks_free(masks);
    coppice_model_free(model);
    return status;
}

const cli_command cmd_apply_masks = {
    .name = "apply-masks",
    .arguments = "MODEL MASKS.npz -o OUT",
    .summary = "put masks made earlier onto a new export of the same network",
    .details =
        "MASKS.npz holds an array of zeros and ones per weight, as 'coppice prune --masks-out'\n"
        "writes it. A mask goes to the initializer of its name and shape; where the export has\n"
        "other names, to the one of its shape whose small weights are those that it prunes. What\n"
        "is in doubt is refused, and nothing is written then.",
    .run = run,
};
