/* coppice info: version, what is built in, what the machine offers; the operators. */
#include <string.h>

#include "cli.h"

typedef struct info_flags {
    bool operators;
} info_flags;

static const cli_option info_rows[] = {{"operators", 0, CLI_FLAG, offsetof(info_flags, operators),
                                        NULL, "list the operators that models may use"},
                                       {0}};

/* "7-13", "13-": from, and to the newest */
static cli_text opset_range(const coppice_operator_info *info) {
    cli_text out;
    if (info->max_opset)
        snprintf(out.text, sizeof out.text, "%d-%d", info->min_opset, info->max_opset);
    else
        snprintf(out.text, sizeof out.text, "%d-", info->min_opset);
    return out;
}

static void print_features(cli_context *cli) {
    cli_table table = {0};
    cli_table_column(&table, "coppice", CLI_LEFT);
    cli_table_column(&table, coppice_version(), CLI_LEFT);
    for (const coppice_feature *f = coppice_features(); f->name; f++) {
        cli_table_text(&table, f->name);
        cli_table_text(&table, f->value);
    }
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
}

static void print_operators(cli_context *cli) {
    cli_table table = {0};
    cli_table_column(&table, "operator", CLI_LEFT);
    cli_table_column(&table, "opsets", CLI_LEFT);
    cli_table_column(&table, "types", CLI_LEFT);
    for (const coppice_operator_info *o = coppice_operators(); o->op; o++) {
        bool standard = !o->domain[0];
        cli_table_cell(&table, "%s%s%s", o->domain, standard ? "" : "::", o->op);
        cli_table_text(&table, opset_range(o).text);
        cli_table_text(&table, o->types);
    }
    cli_table_print(&table, cli->out);
    cli_table_free(&table);
    cli_print(
        cli,
        "\nTypes of the first input as held in memory: float16, bfloat16, float8 and float4 run "
        "as float32,\n4-bit and 2-bit integers as int8 and uint8.\n");
}

static json_t *features_json(void) {
    json_t *object = json_object();
    for (const coppice_feature *f = coppice_features(); f->name; f++)
        json_object_set_new(object, f->name, cli_json_string(f->value));
    return object;
}

static json_t *operators_json(void) {
    json_t *array = json_array();
    for (const coppice_operator_info *o = coppice_operators(); o->op; o++)
        json_array_append_new(
            array, json_pack("{s:o, s:o, s:i, s:o, s:o}", "domain", cli_json_string(o->domain),
                             "op", cli_json_string(o->op), "min_opset", o->min_opset, "max_opset",
                             o->max_opset ? json_integer(o->max_opset) : json_null(), "types",
                             cli_json_string(o->types)));
    return array;
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    info_flags flags = {0};
    const cli_group groups[] = {{"Options", info_rows, &flags}, {0}};
    if (!cli_parse(cli, groups, 0, 0, argc, argv))
        return cli->error.status;
    if (flags.operators)
        print_operators(cli);
    else
        print_features(cli);
    json_t *root =
        json_pack("{s:s, s:o}", "version", coppice_version(), "features", features_json());
    if (root && flags.operators)
        json_object_set_new(root, "operators", operators_json());
    return cli_json_emit(cli, root);
}

const cli_command cmd_info = {
    .name = "info",
    .arguments = "[--operators]",
    .summary = "version, build features, CPU, threads; the operators",
    .run = run,
};
