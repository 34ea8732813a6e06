export * from "./page-html.js";
export * from "./picked-file-store.js";
export * from "./serial-pane.js";
