// A remote control for a real browser: one JSON command per line on standard
// input, one JSON answer per line on standard output. The Go tests hold the
// story; this holds playwright. Usage: node driver.mjs /path/to/chromium
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
context.setDefaultTimeout(60_000); // a guard against hanging, generous as CI machines are slow
const tabs = new Map(); // name → { page, problems }

/** What must not happen on a page: console errors, exceptions, policy violations. */
function watch(page) {
  const problems = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && problems.push(`console ${m.type()}: ${m.text()}`));
  page.on("pageerror", (e) => problems.push(`exception: ${e.stack ?? e}`));
  page.on("requestfailed", (r) => problems.push(`request failed: ${r.url()}: ${r.failure()?.errorText}`));
  return problems;
}

const commands = {
  async open({ tab, url, scheme, width, height }) {
    const page = await context.newPage();
    if (scheme) await page.emulateMedia({ colorScheme: scheme });
    if (width) await page.setViewportSize({ width, height });
    tabs.set(tab, { page, problems: watch(page) });
    const response = await page.goto(url);
    return { status: response.status(), policy: response.headers()["content-security-policy"] ?? "" };
  },
  fill: ({ page, selector, value }) => page.fill(selector, value),
  change: async ({ page, selector, value }) => {
    await page.fill(selector, value);
    await page.locator(selector).blur();
  },
  press: ({ page, selector, value }) => page.press(selector, value),
  click: ({ page, selector }) => page.click(selector),
  wait: ({ page, selector, value }) => page.locator(selector).filter({ hasText: value }).first().waitFor({ state: "attached" }),
  text: ({ page, selector }) => page.locator(selector).first().innerText(),
  count: ({ page, selector }) => page.locator(selector).count(),
  evaluate: ({ page, value }) => page.evaluate(value),
  problems: ({ problems }) => problems.splice(0),
  shot: ({ page, value }) => page.screenshot({ path: value, fullPage: true }).then(() => null),
  close: async ({ page, tab }) => {
    await page.close();
    tabs.delete(tab);
  },
};

async function answer(line) {
  try {
    const command = JSON.parse(line);
    const value = await commands[command.do]({ ...command, ...tabs.get(command.tab) });
    return { value: value ?? null };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(line)) + "\n");
}
await browser.close();
