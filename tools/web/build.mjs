// Builds src/upswing/web/static/vendor: htmx and Inter as published, ECharts as a bundle of our own.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const out = join(here, "..", "..", "src", "upswing", "web", "static", "vendor");

// The pages' Content-Security-Policy forbids style attributes that are set as text. zrender writes them so; through the
// CSSOM the same style is allowed. The build fails when the places it knows have changed.
const stylesThroughCssom = {
  name: "styles-through-cssom",
  setup(task) {
    task.onLoad({ filter: /zrender[\\/]lib[\\/]svg[\\/]patch\.js$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const written = /elm\.setAttribute\(key, cur\);/g;
      const places = source.match(written)?.length ?? 0;
      if (places !== 2) throw new Error(`zrender sets attributes in ${places} places, 2 were known`);
      const contents = source.replace(
        written,
        "if (key === 'style') { elm.style.cssText = cur; } else { elm.setAttribute(key, cur); }",
      );
      return { contents, loader: "js" };
    });
  },
};

const version = async (name) => JSON.parse(await readFile(join(modules, name, "package.json"), "utf8")).version;

await mkdir(out, { recursive: true });
const charts = `ECharts ${await version("echarts")} (Apache-2.0) with zrender ${await version("zrender")} (BSD-3-Clause), see echarts.LICENSE and echarts.NOTICE`;
await build({
  entryPoints: [join(here, "charts.entry.js")],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  banner: { js: `/* ${charts}. A bundle with styles set through the CSSOM: tools/web/build.mjs. */` },
  outfile: join(out, "echarts.js"),
  plugins: [stylesThroughCssom],
});
const htmx = await readFile(join(modules, "htmx.org", "dist", "htmx.min.js"), "utf8");
await writeFile(
  join(out, "htmx.js"),
  `/* htmx ${await version("htmx.org")} (0BSD), see htmx.LICENSE */\n${htmx.replace(/\n?\/\/# sourceMappingURL=.*$/m, "")}`,
);
const copies = [
  ["htmx.org/LICENSE", "htmx.LICENSE"],
  ["echarts/LICENSE", "echarts.LICENSE"],
  ["echarts/NOTICE", "echarts.NOTICE"],
  ["zrender/LICENSE", "zrender.LICENSE"],
  ["@fontsource-variable/inter/LICENSE", "inter.LICENSE"],
  ["@fontsource-variable/inter/files/inter-latin-wght-normal.woff2", "inter-latin.woff2"],
];
for (const [from, to] of copies) await copyFile(join(modules, from), join(out, to));
