import { words } from "../format";
import type { Graph } from "../types";
import type { Builder } from "./chart";
import { group, legend, tooltip } from "./palette";

/** The evidence graph as a network: things as nodes, what the run says of two of them as lines. */
export function network(graph: Graph): Builder {
  const kinds = [...new Set(graph.nodes.map((node) => node.kind))].sort();
  const degree = new Map<string, number>();
  for (const edge of graph.edges) {
    for (const end of [edge.source, edge.target]) degree.set(end, (degree.get(end) ?? 0) + 1);
  }
  // The more things there are, the less they push each other away.
  const room = Math.max(90, Math.min(900, 14000 / Math.max(1, graph.nodes.length)));
  const names = new Map(graph.nodes.map((node) => [node.id, node.name]));
  return (colours) => ({
    legend: { ...legend(colours, kinds.map(words)), type: "scroll" },
    tooltip: tooltip(colours, ((event: { dataType: string; data: { name?: string; told?: string } }) =>
      event.data.told ?? event.data.name ?? "") as never),
    series: [
      {
        type: "graph",
        layout: "force",
        roam: true,
        top: 30,
        draggable: true,
        categories: kinds.map((kind, place) => ({ name: words(kind), itemStyle: { color: group(colours, place) } })),
        force: { repulsion: room, edgeLength: [30 + room / 12, 110 + room / 6], gravity: 0.06, friction: 0.2, layoutAnimation: false },
        label: { show: true, position: "right", fontSize: 10, color: colours.ink, formatter: "{b}" },
        labelLayout: { hideOverlap: true },
        emphasis: { focus: "adjacency", label: { fontWeight: 600 } },
        lineStyle: { opacity: 0.55, width: 1.2, curveness: 0.06 },
        data: graph.nodes.map((node) => ({
          id: node.id,
          name: node.name.length > 26 ? `${node.name.slice(0, 25)}…` : node.name,
          key: node.id,
          told: `${node.name}\n${words(node.kind)}`,
          category: kinds.indexOf(node.kind),
          symbolSize: 6 + 4 * Math.sqrt(degree.get(node.id) ?? 1),
        })),
        links: graph.edges.map((edge) => ({
          source: edge.source,
          target: edge.target,
          edge: edge.id,
          told: `${names.get(edge.source) ?? ""} ${words(edge.kind)} ${names.get(edge.target) ?? ""}\n${edge.status}${edge.about ? `\n${edge.about}` : ""}`,
          lineStyle: {
            color: edge.sign > 0 ? colours.up : edge.sign < 0 ? colours.down : colours.muted,
            type: edge.status === "supported" || edge.status === "known" ? "solid" : "dashed",
          },
        })),
      },
    ],
  });
}
