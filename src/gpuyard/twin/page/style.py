"""How the page looks: one style sheet for screen, dark screen, telephone and paper.

Colours are variables, set three times: light, dark, and print (which is light whatever the screen
is). Everything else uses the variables. Fonts are the reader's own: a report carries none and may
fetch none. Widths of plots follow their container, not the window, so paper needs no exception.
"""

from gpuyard.twin.page.looks import PAPER_DARK, PAPER_LIGHT, colour_rules, role_rules

_LIGHT = (
    f"--paper:{PAPER_LIGHT};--card:#fff;--ink:#1a2126;--quiet:#56616a;--rule:#dde2e5;"
    f"--grid:#e8ecee;"
    f"--axis:#8b969d;--tint:#eef4f8;--good:#00664d;--bad:#a83f00;{colour_rules('light')}"
)
_DARK = (
    f"--paper:{PAPER_DARK};--card:#191e22;--ink:#e6eaec;--quiet:#a3aeb6;--rule:#30383e;"
    f"--grid:#262d32;"
    f"--axis:#6f7b83;--tint:#1d2a33;--good:#4fd1a8;--bad:#f5a06a;{colour_rules('dark')}"
)

_PAGE = """
*{box-sizing:border-box}
html{color-scheme:light dark;scroll-padding-top:1rem;
 -webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
 font:1rem/1.55 Inter,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",
 "Liberation Sans",Arial,sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:break-word}
.sheet{max-width:1100px;margin:0 auto;padding:0 20px 4rem}
a{color:inherit;text-decoration-color:var(--ours);text-decoration-thickness:1.5px;
 text-underline-offset:.18em}
a:hover{color:var(--ours)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--ours);
 outline-offset:3px}
h1{font-size:clamp(1.75rem,1.2rem + 2.4vw,2.6rem);line-height:1.15;letter-spacing:-.02em;
 margin:0 0 .5rem;
 font-weight:680;text-wrap:balance}
h2{font-size:1.5rem;line-height:1.25;letter-spacing:-.01em;margin:4rem 0 .4rem;padding-top:1.1rem;
 border-top:2px solid var(--ink);font-weight:660}
h3{font-size:1.08rem;line-height:1.35;margin:0 0 .25rem;font-weight:640}
p{margin:0 0 1rem;max-width:70ch}
code{font:.92em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
.quiet,.lead,.caption{color:var(--quiet)}
.small{font-size:.86rem}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
 white-space:nowrap}
.masthead{padding:2.6rem 0 1.4rem}
.brand{display:flex;justify-content:space-between;gap:1rem;flex-wrap:wrap;font-size:.86rem;
 color:var(--quiet);
 margin-bottom:2.2rem}
.brand b{color:var(--ink);letter-spacing:.01em}
.subtitle{font-size:1.12rem;color:var(--quiet);max-width:62ch;text-wrap:pretty}
.summary{list-style:none;margin:0;padding:0}
.summary li{display:grid;grid-template-columns:minmax(0,1fr) 17rem;gap:.3rem 2.5rem;
 padding:1.05rem 0;
 border-top:1px solid var(--rule);align-items:baseline}
.summary p{margin:0;font-size:clamp(1.15rem,1rem + .8vw,1.45rem);line-height:1.36;
 letter-spacing:-.008em;
 max-width:none;text-wrap:pretty}
.summary .note{font-size:.86rem;line-height:1.45;color:var(--quiet)}
.figure{font-weight:680}
.tone{white-space:nowrap}
.tone.better>i{color:var(--good)}
.tone.worse>i{color:var(--bad)}
.tone>i{font-style:normal;font-size:.78em;margin-right:.25em}
.contents{margin:2.4rem 0 0;font-size:.9rem;color:var(--quiet);display:flex;flex-wrap:wrap;
 gap:.3rem 1.4rem}
.contents b{font-weight:600;color:var(--ink)}
.strip{margin-top:2.2rem;padding:1.1rem 1.25rem 1.2rem;background:var(--tint);border-radius:8px}
.strip h2{border:0;padding:0;margin:0 0 .7rem;font-size:.95rem;letter-spacing:0}
.strip ul{list-style:none;margin:0;padding:0;display:grid;gap:.8rem 2rem;
 grid-template-columns:repeat(auto-fit,minmax(13.5rem,1fr))}
.strip li{display:grid;grid-template-columns:1.5rem minmax(0,1fr);overflow:hidden;font-size:.9rem;
 line-height:1.4}
.strip .sign{font-weight:700}
.strip .ok .sign{color:var(--good)}
.strip .warn .sign{color:var(--bad)}
.strip .result{display:block;font-weight:640}
"""

_PLOTS = """
.plots{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:2.6rem 3rem;margin-top:1.8rem}
.plot{margin:0;position:relative;container-type:inline-size;min-width:0}
.plot.full{grid-column:1/-1}
.head{display:flex;justify-content:space-between;align-items:baseline;gap:1rem}
.rows,.contents a{font-size:.86rem;color:var(--quiet);text-decoration-color:var(--axis);
 text-decoration-thickness:1px}
.caption{font-size:.92rem;line-height:1.5;margin:0 0 .8rem;max-width:75ch;text-wrap:pretty}
.drawing{display:none;width:100%;height:auto;overflow:visible}
.drawing.narrow{display:block}
@container (min-width:480px){.drawing.narrow{display:none}.drawing.middle{display:block}
 .legend.lines{display:none}}
@container (min-width:640px){.full .drawing.middle text{font-size:11.5px}}
@container (min-width:800px){.full .drawing.middle{display:none}.full .drawing.wide{display:block}}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;margin:0 0 .7rem;padding:0;
 font-size:.86rem}
.legend li{display:flex;align-items:center;gap:.5rem}
.swatch{width:30px;height:14px;flex:none;overflow:visible}
.swatch.point{width:14px}
svg text{font-size:13px;fill:var(--ink)}
svg .tick,svg .label,svg .note{fill:var(--quiet)}
svg .group{font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:4px}
svg .value{font-weight:600}
svg .name{font-weight:640;fill:var(--role)}
svg .grid{stroke:var(--grid);stroke-width:1}
svg .axis,svg .tick-line{stroke:var(--axis);stroke-width:1}
svg .mark{stroke:var(--axis);stroke-width:1;stroke-dasharray:2 2}
svg .leader{stroke:var(--axis);stroke-width:1}
svg .line{fill:none;stroke:var(--role);stroke-linejoin:round;stroke-linecap:butt}
svg .band{fill:var(--role);opacity:.16}
svg .marker{fill:var(--role);stroke:var(--card);stroke-width:1.2}
svg .marker.peer-4{stroke:var(--role);stroke-width:2.2;fill:none}
svg .dot{fill:var(--role)}
svg .whisker{stroke:var(--ink);stroke-width:1.3}
svg .guide{stroke:var(--role);stroke-width:1;stroke-dasharray:1 3}
svg .bar{stroke:var(--role);stroke-width:1.2}
svg .bar.solid{fill:var(--role)}
svg .bar.tint{fill:var(--role);fill-opacity:.4}
svg .bar.outline{fill:none}
svg .hatching{stroke:var(--role);stroke-width:1.6;fill:none}
svg .cursor{stroke:var(--ink);stroke-width:1;visibility:hidden}
.reading .cursor{visibility:visible}
.readout{position:absolute;z-index:2;pointer-events:none;background:var(--card);
 border:1px solid var(--rule);
 border-radius:6px;padding:.45rem .65rem;font-size:.82rem;line-height:1.5;max-width:min(320px,100%);
 box-shadow:0 3px 14px rgb(0 0 0/.14)}
.readout-at{color:var(--quiet)}
.readout-row{display:flex;align-items:center;gap:.5rem}
.readout-name{flex:1;min-width:0}
.readout-value{padding-left:.6rem;white-space:nowrap}
.readout-swatch{width:10px;height:10px;border-radius:50%;background:var(--role);flex:none}
"""

_TABLES = """
.table{margin:1.8rem 0 0;min-width:0}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.92rem;line-height:1.4}
th,td{padding:.5rem .9rem .5rem 0;text-align:left;vertical-align:baseline;
 border-bottom:1px solid var(--rule)}
th:last-child,td:last-child{padding-right:.3rem}
thead th{font-weight:600;vertical-align:bottom;border-bottom:1.5px solid var(--axis)}
thead .unit{display:block;font-weight:400;font-size:.82rem;color:var(--quiet)}
tbody th{font-weight:500}
.right{text-align:right}
td.right{white-space:nowrap}
tr[id]{scroll-margin-top:9rem}
.table+p{margin-top:1rem}
tr:target>*,.table:target h3{background:var(--tint)}
details{margin-top:1.2rem;border-top:1px solid var(--rule)}
details+details{margin-top:0}
details:last-of-type{border-bottom:1px solid var(--rule)}
summary{padding:.75rem 0;cursor:pointer;font-weight:600}
summary:hover{color:var(--ours)}
.folded{padding-bottom:1.4rem}
.folded .table:first-child{margin-top:.4rem}
.limits{padding-left:1.2rem;max-width:75ch}
.limits li{margin:.45rem 0;padding-left:.3rem}
.made{margin:4.5rem 0 0;padding-top:1.2rem;border-top:1px solid var(--rule);font-size:.86rem;
 color:var(--quiet)}
.made dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.3rem 1.4rem;margin:0}
.made dt{font-weight:600}
.made dd{margin:0;overflow-wrap:anywhere}
@media (max-width:760px){
 .plots{grid-template-columns:minmax(0,1fr)}
 .summary li{grid-template-columns:minmax(0,1fr)}
 h2{margin-top:3rem}
 .masthead{padding-top:1.4rem}
 .brand{margin-bottom:1.4rem}
 .scroll tbody th,.scroll thead th:first-child{position:sticky;left:0;background:var(--paper)}
 .made dl{grid-template-columns:minmax(0,1fr);gap:0}
 .made dd{margin-bottom:.6rem}
}
"""

_PAPER = """
@page{margin:15mm}
@media print{
 html{color-scheme:light;font-size:9.5pt}
 body{background:none;-webkit-print-color-adjust:exact;print-color-adjust:exact}
 .sheet{max-width:none;padding:0}
 .masthead{padding-top:0}
 .contents,.readout,.cursor{display:none!important}
 .plot,.strip,.summary li,tr,.limits li{break-inside:avoid}
 .summary p{font-size:1.2rem}
 .summary li{padding:.75rem 0}
 h2,h3,.lead,.head,.caption,.legend,summary,thead{break-after:avoid}
 h2{margin-top:2rem}
 .scroll{overflow:visible}
 table{font-size:.9rem}
 tr:target>*,.table:target h3{background:none}
 details::details-content{content-visibility:visible;height:auto}
 details>summary{list-style:none}
 a{text-decoration-color:var(--axis)}
}
"""

STYLE = (
    f"\n:root{{{_LIGHT}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    f"{_PAGE}{role_rules()}{_PLOTS}{_TABLES}{_PAPER}"
)
