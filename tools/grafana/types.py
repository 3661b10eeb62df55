"""TypeScript that compiles only if every part of the dashboard has the shape that @grafana/schema gives it."""

import json
from typing import Final

from grafana.panels import Json

_MODULES: Final = {
    "timeseries": "timeseries/panelcfg/x/TimeSeriesPanelCfg",
    "stat": "stat/panelcfg/x/StatPanelCfg",
    "heatmap": "heatmap/panelcfg/x/HeatmapPanelCfg",
    "state-timeline": "statetimeline/panelcfg/x/StateTimelinePanelCfg",
}
_PLAIN: Final = """
// values of enums as JSON has them; the annotation's query is the data source's own
type Plain<T> = unknown extends T ? T
  : T extends string ? (string extends T ? T : `${T}`)
  : T extends number ? number
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Query = { refId: string; datasource: schema.DataSourceRef; expr: string; legendFormat: string; editorMode: "code";
  range: boolean; exemplar?: boolean; format?: "heatmap" };
type Annotation = schema.AnnotationQuery & { expr: string; titleFormat: string };
type Ours = Omit<schema.Dashboard, "annotations"> & { annotations: { list: Annotation[] } };
"""


def types(found: Json) -> str:
    """Return the text for a dashboard: itself, and the options, queries and custom fields of each panel."""
    text = ['import type * as schema from "@grafana/schema";']
    for kind, module in _MODULES.items():
        name = kind.replace("-", "_")
        text.append(
            f'import type * as {name} from "@grafana/schema/dist/types/raw/composable/{module}_types.gen.d.ts";'
        )
    text += [_PLAIN, f"export const dashboard: Plain<Ours> = {json.dumps(found, indent=1)};"]
    for panel in found["panels"]:
        if panel["type"] == "row":
            continue
        name, at = panel["type"].replace("-", "_"), panel["id"]
        text.append(f"export const o{at}: Plain<{name}.Options> = {json.dumps(panel['options'])};")
        text.append(f"export const q{at}: Query[] = {json.dumps(panel['targets'])};")
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom:
            text.append(f"export const c{at}: Plain<{name}.FieldConfig> = {json.dumps(custom)};")
    return "\n".join(text) + "\n"
