// What Upswing draws with ECharts, and nothing else: lines, bars, points, flows, and shapes of our own, as SVG.
import { use, init, connect } from "echarts/core";
import { BarChart, CustomChart, LineChart, SankeyChart, ScatterChart } from "echarts/charts";
import { GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";

use([
  BarChart, CustomChart, LineChart, SankeyChart, ScatterChart,
  GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent,
  SVGRenderer,
]);

export { init, connect };
