/** calotype-auto.js: one script element, and every `.calo` picture of the page is shown. */
import { replaceImages } from "./calotype.js";

replaceImages();
