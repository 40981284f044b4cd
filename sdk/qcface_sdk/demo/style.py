"""The style sheet of the demo's page, light and dark."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ground:#eef1f4;--card:#fff;--ink:#1b232c;--soft:#5d6a77;--rule:#d8dee5;
--accept:#1f8a52;--retry:#b46a06;--reject:#c33a36;--accent:#2f6fd0;--fill:#2f6fd01f;--bar:#e3e8ed}
@media (prefers-color-scheme:dark){:root{--ground:#11161b;--card:#1a2128;--ink:#e8edf2;--soft:#98a6b3;--rule:#2c3640;
--accept:#4cc088;--retry:#eaa53c;--reject:#f0716b;--accent:#7aa9f7;--fill:#7aa9f726;--bar:#2c3640}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 20px 64px}
h1{font-size:clamp(28px,4.5vw,44px);line-height:1.1;margin:4px 0 24px;letter-spacing:-.02em;text-wrap:balance}
h2{font-size:24px;margin:56px 0 4px;letter-spacing:-.01em}
h3{font-size:16px;margin:20px 0 8px}
p{margin:0 0 16px;color:var(--soft);max-width:72ch}
.eyebrow{margin:0;font-size:13px;font-weight:600;letter-spacing:.08em;text-transform:uppercase;color:var(--accent)}
.problem{color:var(--reject);font-weight:600}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:14px;margin-bottom:20px}
.figure{background:var(--card);border-radius:12px;padding:16px 18px;border-top:4px solid var(--accent)}
.figure b{display:block;font-size:30px;line-height:1.2;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.figure span{color:var(--soft);font-size:14px}
.figure.accept{border-color:var(--accept)}.figure.retry{border-color:var(--retry)}
.figure.reject{border-color:var(--reject)}
.caveat{font-size:14px;border-left:3px solid var(--rule);padding-left:14px;max-width:none}
.grid-cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(165px,1fr));gap:14px}
.strip{display:flex;gap:14px;overflow-x:auto;padding-bottom:12px;scroll-snap-type:x proximity}
.strip .card{flex:0 0 340px;scroll-snap-align:start}
.card{margin:0;background:var(--card);border-radius:12px;overflow:hidden;border-top:4px solid var(--rule)}
.card.accept{border-color:var(--accept)}.card.retry{border-color:var(--retry)}.card.reject{border-color:var(--reject)}
.card img{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:#222a32}
.strip .card img{aspect-ratio:16/9;object-fit:cover}
figcaption{padding:9px 12px 12px}
figcaption b{font-size:14px;line-height:1.3;display:block}
.card>div{position:relative}
.card em{position:absolute;bottom:8px;right:8px;padding:2px 9px;border-radius:99px;color:#fff;background:var(--soft);
font:700 11px/1.5 system-ui,sans-serif;text-transform:uppercase;letter-spacing:.05em}
.card.accept em{background:#1f8a52}.card.retry em{background:#b46a06}.card.reject em{background:#c33a36}
figcaption span{display:block;color:var(--soft);font-size:12.5px;line-height:1.4;margin-top:2px;
font-variant-numeric:tabular-nums}
.bar{height:6px;border-radius:3px;background:var(--bar);margin-top:8px}
.bar i{display:block;height:100%;border-radius:3px}
.bar .high{background:var(--accept)}.bar .middle{background:var(--retry)}.bar .low{background:var(--reject)}
.panel{background:var(--card);border-radius:12px;padding:18px;margin-bottom:8px}
.curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:16px}
.curve h3{margin:0;text-transform:capitalize}.curve p{font-size:13px;margin:0 0 8px;min-height:2.6em;line-height:1.3}
.crops{display:flex;gap:3px;padding-left:0}
.crops span{flex:1;border-bottom:3px solid var(--rule)}
.crops img{display:block;width:100%}
.crops .accept{border-color:var(--accept)}.crops .retry{border-color:var(--retry)}
.crops .reject{border-color:var(--reject)}
svg{display:block;width:100%;height:auto}
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
svg .head,svg .name{font-weight:600;font-size:13px;fill:var(--ink)}
svg .name.other{fill:var(--soft)}
.grid{stroke:var(--rule)}.limit{stroke:var(--soft);stroke-dasharray:5 5}
.line{fill:none;stroke-width:2.2;stroke-linejoin:round}.line.main{stroke:var(--accent)}
.line.other{stroke:var(--soft);stroke-dasharray:2 4}
.area{fill:var(--fill)}
circle{stroke:var(--card);stroke-width:1.5}
circle.accept{fill:var(--accept)}circle.retry{fill:var(--retry)}circle.reject{fill:var(--reject)}
.legend{display:flex;gap:18px;margin:10px 0 0;font-size:13px}
.legend span::before{content:"";display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:6px}
.legend .accept::before{background:var(--accept)}.legend .retry::before{background:var(--retry)}
.legend .reject::before{background:var(--reject)}
table{border-collapse:collapse;width:100%;background:var(--card);border-radius:12px;overflow:hidden;font-size:14px}
th,td{text-align:left;padding:9px 16px;border-bottom:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--soft);font-weight:500;width:190px}
tr:last-child th,tr:last-child td{border-bottom:0}
@media (max-width:640px){th{width:120px}.strip .card{flex-basis:260px}}
"""
