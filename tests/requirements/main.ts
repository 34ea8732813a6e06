/** `npm run requirements`: writes docs/REQUIREMENTS.md anew. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectFolder, requirementsTable, testsById } from "./table.js";

const root = projectFolder();
writeFileSync(join(root, "docs/REQUIREMENTS.md"), requirementsTable(testsById(root)));
