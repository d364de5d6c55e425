// Sends events with the unmodified JavaScript clients: node send.mjs segment|growthbook URL KEY
import { createRequire } from "node:module";
const require = createRequire(process.env.UPSWING_NODE_MODULES + "/");
const [client, url, key] = process.argv.slice(2);

async function segment() {
  const { Analytics } = require("@segment/analytics-node");
  const analytics = new Analytics({ writeKey: key, host: url, flushAt: 5 });
  analytics.on("error", (error) => { console.error(error); process.exitCode = 1; });
  analytics.identify({ userId: "用户1", anonymousId: "设备1", traits: { 城市: "上海" } });
  for (let i = 0; i < 7; i++) {
    analytics.track({ userId: "用户1", event: "下单😀", properties: { 金额: i + 0.5, 商品: "奶茶🧋", n: i },
                      timestamp: new Date(Date.UTC(2026, 10, 20, 8, 0, i)) });
  }
  analytics.page({ anonymousId: "设备1", name: "首页", properties: { url: "https://例子.example/" } });
  analytics.screen({ userId: "用户1", name: "Home" });
  analytics.group({ userId: "用户1", groupId: "团队", traits: { 人数: 3 } });
  analytics.alias({ userId: "用户1", previousId: "旧id" });
  await analytics.closeAndFlush({ timeout: 10000 });
}

async function growthbook() {
  const { GrowthBook } = require("@growthbook/growthbook");
  const { growthbookTrackingPlugin } = require("@growthbook/growthbook/plugins");
  const gb = new GrowthBook({
    clientKey: key, attributes: { id: "设备2", user_id: "用户2", 国家: "中国" },
    features: { 新首页: { defaultValue: false, rules: [{ key: "onboarding", variations: [false, true], weights: [0, 1] }] } },
    plugins: [growthbookTrackingPlugin({ ingestorHost: url, queueFlushInterval: 20 })],
  });
  await gb.init({ payload: { features: gb.getFeatures() } });
  gb.isOn("新首页");
  gb.logEvent("付款💰", { 金额: 12.5 });
  await new Promise((resolve) => setTimeout(resolve, 800));
  gb.destroy();
  await new Promise((resolve) => setTimeout(resolve, 300));
}

await (client === "segment" ? segment() : growthbook());
