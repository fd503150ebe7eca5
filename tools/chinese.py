"""Chinese notes and titles in workflows.

ComfyUI translates nodes and widgets, but neither notes nor titles of groups and of nodes, nor names
of templates: so a second note, folded, is below the first one, and titles are in both languages.
"""

from __future__ import annotations

from collections.abc import Mapping

NOTE_TITLE = "中文说明（点击展开）"

TITLES: Mapping[str, str] = {
    "content": "内容图",
    "style": "风格图",
    "style inside": "内部",
    "style outside": "外部",
    "preview": "预览",
    "the first painting": "第一幅小画",
    "path of the file": "文件路径",
    "Picture": "图像",
    "Pictures": "图像",
    "Models": "模型",
    "Model": "模型",
    "Styles": "风格",
    "Stylize": "风格化",
    "Result": "结果",
    "Video": "视频",
    "Look first": "先看效果",
    "The look": "整体效果",
    "1. Measure once": "一次测量",
    "2. Cut": "切分",
    "3. Stylize": "风格化",
    "4. Join": "拼接",
    "1. Upscale": "放大",
    "2. Upscale": "放大",
    "1. Stylize": "风格化",
    "2. Stylize": "风格化",
    "1. Regions": "区域",
    "Their styles": "各自风格",
    "1. Small copy": "绘制小图",
    "2. Double size": "放大一倍",
    "2. Paint": "绘制并合并",
    "3. Whole size": "原尺寸",
    "3. Paint": "绘制并合并",
    "3. Fine strokes": "细笔触",
    "3. Finish": "收尾",
    "A: defaults": "默认设置",
    "B: finer strokes": "更细的笔触",
    "C: half strength": "一半强度",
    "D: small thumbnail": "小缩略图",
}
"""Of nodes and groups, by the English ones; without their numbers."""

CHOOSE = "工作流带有示例图像，可以直接运行。在 **{content}** 中选择自己的照片，在 **{style}** 中选择一幅画。"

UPSCALER = "**Load Upscale Model** 需要 **models/upscale_models** 中的一个文件：页面会提示下载，也可以另选。"

NOTES: Mapping[str, str] = {
    "quick_start": f"""## 快速开始

1. {CHOOSE.format(content="content", style="style")}
2. 运行。结果在 **output/urst** 中。

**图像风格化** 先在缩略图上测量一次，再逐图块绘制：几乎不需要额外内存，也没有接缝。

- **风格强度**：0 为照片，1 为完整的风格。
- **笔触大小**：0 使笔触在任何尺寸下占画面的比例不变；1 为最细。
- **图块尺寸**：0 按可用内存选择，不影响画面。
- **统计方式** 选 exact 时测量整幅图像，而不只是缩略图，速度较慢。
- **第二风格图** 混入另一幅画。
""",
    "five_nodes": f"""## 五个节点

把“图像风格化”的步骤拆成独立的节点，中间可以插入其他节点。

1. {CHOOSE.format(content="content", style="style")}
2. **生成缩略图统计量** 在缩略图上测量一次。它的预览在计算任何图块之前就显示整幅画的效果。
3. **切分图块** 切出等大的窗口，相互重叠的宽度由骨干网络决定。
4. **图块风格化（TIN）** 用同样的统计量绘制每个窗口。
5. **拼接图块** 裁去重叠部分并拼接。每个像素都与一次处理整幅图像相同。

如果中间不需要其他节点，模板 **quick start** 占用的内存更少。
""",
    "strokes_by_hand": f"""## 手动制作大笔触

把“图像风格化”在 **笔触大小** 为 4 时的步骤逐层拆开，中间可以插入其他节点，结果相同。

1. {CHOOSE.format(content="content", style="style")}
2. 第一个 **合入细节** 缩小图像，其 **生成缩略图统计量** 的预览就是第一层的画。
3. 下一个 **合入细节** 放大这幅画并加入照片的细节；逐图块绘制之后，**合并笔触** 合入最细的笔触。
4. 再经过同样的一层，使用同样的统计量，画就与照片一样大。

- 要用放大模型来放大：把画接到放大节点，再把结果接到下一个 **合入细节** 的 **enlarged**，同时保留 **painting**。
- 要更大的笔触：把第一个 **合入细节** 的 **笔触大小** 设为 8，并增加一层。
- **细节**：每一层看到多少照片的细节。**笔触纹理** 填充天空。
""",
    "hundred_megapixels": """## 一亿像素，从文件到文件

用于放不进内存、浏览器也显示不了的图像：**文件风格化** 读取一个文件，逐图块绘制，再写入一个文件。

1. 把图像放进 ComfyUI 的 **input** 文件夹，按 **R** 键刷新，在 **文件风格化** 中选择它。默认是随附的照片，可以直接运行。
2. 在 **style** 中选择一幅画。
3. 运行。结果在 **output/urst** 中；运行时可以看到画面逐渐填满。

- 取消、崩溃或断电之后，再次加入队列即可：已完成的图块都保留。
- 文件带有编号。打开 **允许覆盖** 后，每次替换同一个文件。
- TIFF 能保存任何图像：16 位、透明通道、任意尺寸。JPEG 文件更小。
- 位深、透明通道、色彩配置文件和元数据都会保留。
""",
    "upscale_then_stylize": f"""## 先放大，再风格化

小照片变成笔触锐利的大画：笔触画在放大后的图像上。

1. {CHOOSE.format(content="content", style="style")}
2. {UPSCALER}
3. 运行。统计量在放大后的图像上测量，因为风格化的正是它。

**笔触大小** 为 1 时笔触最细。要让笔触随图像变大，请看模板 **stylize, then upscale**。
""",
    "stylize_then_upscale": f"""## 先风格化，再放大

先画小图，再放大画作：笔触随之变大，网络的计算也更少。

1. {CHOOSE.format(content="content", style="style")}
2. {UPSCALER}
3. 运行。

放大节点也可以放在模板 **step by step** 的 **图块风格化（TIN）** 与 **拼接图块** 之间，倍数会自动识别。此时请把 **拼接图块** 的羽化设为 16 左右，因为放大模型会使各窗口的边缘略有不同。

要在最终尺寸上绘制笔触，请看模板 **upscale, then stylize**。
""",
    "regions_with_masks": f"""## 每个区域一种风格

1. {CHOOSE.format(content="content", style="style inside** 和 **style outside")}
2. 遮罩区分内部（白）和外部（黑）。为了直接运行，工作流取内容图的蓝色通道中高于 **Threshold Mask** 数值的部分，大致是天空。
3. 使用自己的遮罩：右键点击 **content**，选择遮罩编辑器，涂画并保存；再用它的 MASK 代替 Threshold Mask 的输出。尺寸不同的遮罩会自动缩放。

**图像风格化** 一次画完所有风格：它自己的风格用于整幅画，**风格区域** 在遮罩的白色处叠加另一种风格。需要更多风格时，把多个 **风格区域** 串联起来。

**遮罩羽化** 设定风格在区域内淡入的宽度（像素），0 为硬边。
""",
    "video_shared_statistics": """## 不闪烁的视频

如果逐帧单独测量，移动的灯光会改变整幅画面，视频就会闪烁。**批次统计方式** 设为 shared 时，所有帧一起测量，不动的部分保持颜色不变。

1. 工作流带有两秒的示例视频，可以直接运行。在 **content** 中选择自己的视频。
2. 在 **style** 中选择一幅画。
3. 运行。结果在 **output/urst** 中，保留原视频的声音和帧率。

- smoothed 用于有多个场景的视频：每一帧的统计量与前后 **平滑半径** 帧求平均。
- 所有帧同时放在内存里。长视频请用 **风格化视频文件**，它逐帧读写。
""",
    "video_file": """## 长视频，从文件到文件

**风格化视频文件** 读取一个视频，逐帧绘制，再写入一个视频：一小时的视频不比一秒钟的占用更多内存。

1. 在 **风格化视频文件** 中上传视频，或者把它放进 ComfyUI 的 **input** 文件夹，再按 **R** 键刷新。默认是随附的两秒视频，可以直接运行。
2. 在 **style** 中选择一幅画。
3. 运行。结果在 **output/urst** 中。

- 画面不闪烁：所有帧共用统计量，在抽取的 16 帧上测量。
- 声音、帧率和每一帧的时间都保留。
- 取消、崩溃或断电之后，再次加入队列即可：已完成的每一秒都保留。
- 如果各场景差别很大，请先按场景切开。
- 它的 **视频** 输出可以接到 *Get Video Components* 等节点。
""",
    "compare_backbones": f"""## 比较骨干网络和设置

四条线路，同一幅图像，同一幅画。{CHOOSE.format(content="content", style="style")}

所有线路都使用内置权重，设置不同：A 默认设置；B 更细的笔触；C 一半强度；D 较小的缩略图。

**其他骨干网络**：在某条线路的 **加载骨干网络** 中选择它们的权重：可以是名称（下载一次并校验），也可以是 **models/urst** 中的 .safetensors 文件。作者发布的文件原样放进去，再用 **转换权重** 转换。自带风格的骨干网络不使用 **style**；如果自带多种风格，请在 **风格名称** 中填写。

图像远大于缩略图时，也请比较 **统计方式** 的 exact。
""",
}
"""By the name of the workflow."""


def with_chinese(title: str) -> str:
    """A title in both languages."""
    return f"{title} · {TITLES[title]}"
